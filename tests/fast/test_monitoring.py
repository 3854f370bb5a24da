"""What looks on, without an engine: targets out of .env, Pgpool's view through PCP, and no Grafana said in one line."""

from __future__ import annotations

import socketserver
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from prometheus_client import generate_latest
from prometheus_client.registry import CollectorRegistry

from chaosbench import monitoring
from chaosbench.cluster.labfiles import read_settings
from chaosbench.errors import UsageError

INFRA = Path(__file__).parents[2] / "infra"
sys.path[:0] = [str(INFRA / "monitoring"), str(INFRA / "pgpool")]

import follow_patroni  # noqa: E402 - they live in the images
import pgpool_exporter  # noqa: E402
import run_prometheus  # noqa: E402


def environment() -> dict[str, str]:
    """Prometheus' environment as Compose makes it out of .env."""
    settings = read_settings(INFRA, {"PG2_REST_PORT": "28082"})
    service = yaml.safe_load((INFRA / "compose.monitoring.yaml").read_text())["services"]["prometheus"]
    filled = service["environment"]
    for name, value in settings.items():
        filled = {key: text.replace(f"${{{name}}}", value) for key, text in filled.items()}
    return filled


def test_targets_are_the_ports_of_the_settings():
    found = run_prometheus.targets(environment())
    patroni = {row["labels"]["member"]: row["targets"] for row in found["patroni"]}
    assert patroni == {"pg1": ["127.0.0.1:18081"], "pg2": ["127.0.0.1:28082"], "pg3": ["127.0.0.1:18083"]}
    assert found["chaosbench"][0]["targets"] == ["127.0.0.1:9180"]
    assert found["postgres"][0]["labels"] == {"member": "pg1", "__exporter__": "127.0.0.1:19187"}
    jobs = yaml.safe_load((INFRA / "monitoring/prometheus.yml").read_text())["scrape_configs"]
    files = {job["job_name"]: job["file_sd_configs"][0]["files"] for job in jobs}
    assert files == {job: [f"/run/targets/{job}.json"] for job in found}


def test_all_etcd_members_that_there_are_are_asked():
    one, three = environment(), environment() | {"LAB_FILES": "compose.yaml:compose.etcd3.yaml"}
    assert [row["labels"]["member"] for row in run_prometheus.targets(one)["etcd"]] == ["etcd1"]
    assert run_prometheus.targets(three)["etcd"] == [
        {"targets": [f"127.0.0.1:{port}"], "labels": {"member": f"etcd{number}"}}
        for number, port in ((1, 12379), (2, 12380), (3, 12381))
    ]


def test_prometheus_listens_on_the_address_that_is_given():
    words = run_prometheus.command(environment() | {"MONITORING_ADDRESS": "10.8.0.1"})
    assert "--web.listen-address=10.8.0.1:19090" in words
    assert not any("${" in word for word in words)


# As Pgpool 4.6 answers: pg2 is down, pg3 was the primary and does not say so any more.
NODES = (
    "pg1 5432 2 0 up 715827882.333333 3 standby 0 0 streaming async 1795578994",
    "pg2 5432 3 0 down 715827882.333333 3 unknown 4096 0   1795578994",
    "pg3 5432 2 0 up 715827882.333333 2 standby 0 0   1795578990",
)


class FakePgpool(socketserver.BaseRequestHandler):
    """Pgpool's control port: logs everybody in, knows three nodes, refuses a fourth."""

    def handle(self) -> None:
        file = self.request.makefile("rwb")
        while head := file.read(5):
            body = file.read(int.from_bytes(head[1:]) - 4)
            for kind, text in self.answers(head[:1], body):
                file.write(kind + (len(text) + 4).to_bytes(4) + text)
            file.flush()

    @staticmethod
    def answers(kind: bytes, body: bytes) -> list[tuple[bytes, bytes]]:
        if kind == b"M":
            return [(b"m", b"salt")]
        if kind == b"R":
            return [(b"r", b"AuthenticationOK\0")]
        if kind == b"L":
            return [(b"l", b"CommandComplete\0003\0")]
        node = int(body.strip(b"\0"))
        if node >= len(NODES):
            return [(b"E", b"SERROR\0MInvalid node ID\0\0")]
        fields = NODES[node].replace(" ", "\0").encode()
        return [(b"i", b"ArraySize\0001\0"), (b"i", b"NodeInfo\0" + fields + b"\0"), (b"i", b"CommandComplete\0")]


@pytest.fixture
def pcp(monkeypatch: pytest.MonkeyPatch) -> Iterator[pgpool_exporter.NodeInfo]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), FakePgpool) as server:
        server.daemon_threads = True
        monkeypatch.setattr(follow_patroni, "PCP_PORT", server.server_address[1])
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        client = pgpool_exporter.NodeInfo("secret", "127.0.0.1")
        yield client
        client.close()
        server.shutdown()


def exported(look: pgpool_exporter.Look) -> list[str]:
    registry = CollectorRegistry()
    registry.register(pgpool_exporter.Backends(look))
    return generate_latest(registry).decode().splitlines()


def test_pgpools_view_is_exported(pcp: pgpool_exporter.NodeInfo):
    look = pgpool_exporter.Look(pcp)
    look.look()
    page = exported(look)
    for line in (
        "pgpool_up 1.0",
        'pgpool_backend_up{backend="pg1"} 1.0',
        'pgpool_backend_up{backend="pg2"} 0.0',
        'pgpool_backend_primary{backend="pg3"} 1.0',
        'pgpool_backend_found_primary{backend="pg3"} 0.0',
        'pgpool_backend_streaming{backend="pg1"} 1.0',
    ):
        assert line in page


def test_a_pgpool_that_is_gone_is_told_and_its_last_view_is_forgotten_in_time(pcp: pgpool_exporter.NodeInfo):
    look = pgpool_exporter.Look(pcp)
    look.look()
    pcp.close()
    pcp.host = "127.0.0.2"  # nobody there
    look.look()
    assert "pgpool_up 0.0" in exported(look)
    assert 'pgpool_backend_up{backend="pg1"} 1.0' in exported(look)
    look.at -= pgpool_exporter.Backends.FORGET_S
    assert not any(line.startswith("pgpool_backend_up{") for line in exported(look))


def test_a_refusal_is_an_error_and_the_next_question_is_answered(pcp: pgpool_exporter.NodeInfo):
    with pytest.raises(follow_patroni.PcpError, match="Invalid node ID"):
        pcp.backend(7)
    assert pcp.backend(0).name == "pg1"


# Stands in for Docker and Compose: has no Grafana, and can pull none.
STAND_IN = """#!/bin/sh
case "$*" in
    *config) printf 'services: {grafana: {image: "grafana:1"}}\\n' ;;
    'image inspect'*|pull*) exit 1 ;;
    *) echo "$*" >> "$0.log" ;;
esac
"""


async def test_without_grafanas_image_the_rest_is_started_and_one_line_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    docker = tmp_path / "docker"
    docker.write_text(STAND_IN)
    docker.chmod(0o755)
    for name in (".env", monitoring.MONITORING_FILE):
        (tmp_path / name).write_text((INFRA / name).read_text())
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    async def ready(url: str) -> None:
        assert url == "http://127.0.0.1:19090/-/ready"

    monkeypatch.setattr(monitoring, "_ready", ready)
    said: list[str] = []
    await monitoring.up(tmp_path, said.append)
    assert said[-1].startswith("no Grafana: the image grafana:1 is not on this engine")
    started = (tmp_path / "docker.log").read_text().splitlines()[-1]
    assert started.endswith("up -d --no-build prometheus postgres-exporter pgpool-exporter")


async def test_a_lab_without_monitoring(tmp_path: Path):
    with pytest.raises(UsageError, match=r"has no compose\.monitoring\.yaml"):
        await monitoring.up(tmp_path, print)
