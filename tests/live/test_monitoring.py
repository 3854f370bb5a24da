"""A real Prometheus looks on while a real leader dies; then every query of every dashboard and rule is put to it."""

from __future__ import annotations

import asyncio
import json
import math
import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import make
import pytest
from parts import ALL

from chaosbench import monitoring
from chaosbench.cluster.docker import DockerCluster
from chaosbench.cluster.labfiles import read_project
from tests.live.conftest import docker
from tests.live.runs import running, scenario

pytestmark = pytest.mark.live

INFRA = Path(__file__).parents[2] / "infra"
VALUES = {"run": ALL, "scenario": ALL, "workload": ALL, "node": ALL}
VALUES |= {"__rate_interval": "20s", "__interval": "5s", "__range": "15m"}
IMAGE = "chaosbench-monitoring:local"
A_LEADER_DIES = """
description: what the dashboards show
duration: 75s
load:
  - {workload: select-only, rate: 100/s}
  - {workload: ledger, rate: 50/s}
faults:
  - {name: leader-dies, inject: kill, target: leader, at: 8s, hold: 25s}
"""


@dataclass(frozen=True, slots=True)
class Looked:
    """What Prometheus saw of one scenario: where to ask it, from when to when, and chaosbench's own page meanwhile."""

    base: str
    project: str
    began: float
    ended: float
    page: str
    summary: dict[str, Any]

    def ask(self, path: str, **parameters: Any) -> Any:
        """The data of an answer; that it was a success is checked."""
        url = f"{self.base}/api/v1/{path}?{urlencode(parameters, doseq=True)}"
        with urlopen(url, timeout=30) as answer:
            found = json.load(answer)
        assert found["status"] == "success", found
        return found["data"]

    def range(self, expression: str, step: str = "2s") -> list[dict[str, Any]]:
        return self.ask("query_range", query=filled(expression), start=self.began, end=self.ended, step=step)["result"]

    def instant(self, expression: str) -> list[dict[str, Any]]:
        return self.ask("query", query=filled(expression), time=self.ended)["result"]


def filled(text: str) -> str:
    """The query as Grafana sends it."""
    return re.sub(r"\$(\w+)", lambda found: VALUES[found[1]], text)


def numbers(result: list[dict[str, Any]]) -> list[float]:
    pairs = [pair for one in result for pair in one.get("values", [one.get("value")])]
    return [value for _, text in pairs if math.isfinite(value := float(text))]


@pytest.fixture(scope="module")
def looked(lab_directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Looked]:
    """The scenario has run, and Prometheus has seen it. What looks on is removed afterwards."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CHAOSBENCH_METRICS_PORT", port)
        asyncio.run(monitoring.up(lab_directory, print))
        try:
            yield look(lab_directory, tmp_path_factory.mktemp("looked"), port)
        finally:
            project = read_project(lab_directory)
            docker("rm", "-f", *(f"{project}-{name}" for name in (*monitoring.BUILT, "monitoring")))


def look(lab: Path, directory: Path, port: str) -> Looked:
    began = time.time()
    with running(directory, lab, scenario(A_LEADER_DIES, "looked-at"), "--metrics-port", port) as run:
        run.until("heal")
        time.sleep(5)
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            page = answer.read().decode()
        assert run.ended() == 0
    base = f"http://{monitoring.Addresses.of(lab).prometheus}"
    return Looked(base, read_project(lab), began, time.time(), page, run.summary("looked-at"))


QUERIES = [(board.name, where, query) for board in make.boards() for where, query in board.queries]


@pytest.mark.parametrize(("board", "where", "query"), QUERIES, ids=[f"{board}: {where}" for board, where, _ in QUERIES])
def test_every_query_of_every_dashboard(looked: Looked, board: str, where: str, query: Any):
    result = looked.instant(query.expression) if query.instant else looked.range(query.expression)
    if not query.empty:
        assert numbers(result), f"{board}, {where}: nothing found by {filled(query.expression)}"
    for label in re.findall(r"{{(\w+)}}", query.legend):
        assert all(label in one["metric"] for one in result), f"the legend of {where} names {label}"


def test_every_choice_has_values(looked: Looked):
    asked = {(name, label, metric) for board in make.boards() for name, label, metric in board.variables}
    for name, label, metric in asked:
        found = looked.ask(
            f"label/{label}/values", **{"match[]": filled(metric), "start": looked.began, "end": looked.ended}
        )
        assert found, name


def test_what_a_scenario_gave_is_what_its_summary_says(looked: Looked):
    """Told when the run is all but over: the run must have waited for one more visit."""
    (fault,) = looked.summary["faults"]
    (rto,) = looked.range("chaosbench_rto_seconds")
    assert rto["metric"].items() >= {"scenario": "looked-at", "fault": "leader-dies"}.items()
    assert float(rto["values"][-1][1]) == pytest.approx(fault["rto_s"])
    seen = {one["metric"]["phase"]: float(one["values"][-1][1]) for one in looked.range("chaosbench_phase_seconds")}
    phases = {name: fault["phases"][f"{name}_s"] for name in ("detection", "election", "promotion", "proxy", "client")}
    assert seen.items() >= {name: pytest.approx(s) for name, s in phases.items() if s is not None}.items()
    rows = {one["metric"]["result"]: one for one in looked.range("chaosbench_ledger_rows_total")}
    assert float(rows["acked"]["values"][-1][1]) == looked.summary["ledger"]["acked"]
    (verdict,) = looked.range('chaosbench_verdicts_total{verdict="pass"}')
    assert verdict["values"][-1][1] == "1"


def test_the_marks_stand_where_the_fault_was(looked: Looked):
    (fault,) = looked.summary["faults"]
    (mark,) = looked.range('chaosbench_fault_active{fault="leader-dies"} == 1')
    at = looked.ask("query", query="min_over_time(timestamp(chaosbench_fault_active == 1)[10m:1s])", time=looked.ended)
    assert mark["metric"]["target"] == fault["member"]
    held = mark["values"][-1][0] - mark["values"][0][0]
    assert held == pytest.approx(fault["healed_at_s"] - fault["injected_at_s"], abs=5)
    assert at["result"]


def test_every_part_is_seen(looked: Looked):
    up = {(one["metric"]["job"], one["metric"].get("member", "")) for one in looked.instant("up == 1")}
    nodes = {(job, member) for job in ("patroni", "postgres") for member in ("pg1", "pg2", "pg3")}
    assert up >= nodes | {("etcd", "etcd1"), ("pgpool", "pgpool1"), ("prometheus", "")}
    assert numbers(looked.range("pg_up")) and set(numbers(looked.instant("pg_up"))) == {1.0}


def test_rules_are_loaded_and_none_complains(looked: Looked):
    rules = [rule for group in looked.ask("rules")["groups"] for rule in group["rules"]]
    assert len(rules) > 10
    for rule in rules:
        assert rule["health"] == "ok", rule.get("lastError")
        looked.instant(rule["query"])
        looked.range(rule["query"], step="5s")
    # What an earlier run left may still be told for an hour.
    told = {"query": 'ALERTS{alertstate="firing"}', "step": "1s"}
    before = looked.ask("query_range", **told, start=looked.began - 60, end=looked.began + 10)["result"]
    after = looked.ask("query_range", **told, start=looked.began, end=looked.ended)["result"]
    fired = {one["metric"]["alertname"] for one in after} - {one["metric"]["alertname"] for one in before}
    assert not fired, "a failover that goes well is no alert"


def promtool(*words: str, given: str | None = None, mount: str = "") -> subprocess.CompletedProcess[str]:
    volume = ["-v", f"{mount}:/monitoring:ro"] if mount else []
    command = ["docker", "run", "--rm", "-i", "--network", "none", *volume, "--entrypoint", "promtool", IMAGE, *words]
    return subprocess.run(command, input=given, capture_output=True, text=True, timeout=120, check=False)


def test_promtool_finds_nothing_wrong(looked: Looked):
    name = f"{looked.project}-prometheus"
    checked = docker("exec", name, "promtool", "check", "config", "/etc/chaosbench/prometheus.yml")
    assert "1 rule files found" in checked and "SUCCESS" in checked
    metrics = promtool("check", "metrics", given=looked.page)
    assert (metrics.returncode, metrics.stdout + metrics.stderr) == (0, "")
    rules = promtool("test", "rules", "/monitoring/rules_test.yml", mount=str(INFRA / "monitoring"))
    assert rules.returncode == 0, rules.stdout + rules.stderr


def test_a_scrape_is_quick_and_series_are_few(looked: Looked):
    took = sorted(numbers(looked.range('scrape_duration_seconds{job="chaosbench"} and on() chaosbench_scenario_info')))
    print(
        f"scrapes of chaosbench under load: median {took[len(took) // 2] * 1e3:.1f} ms, longest {took[-1] * 1e3:.1f} ms"
    )
    assert took[len(took) // 2] < 0.05
    series = max(numbers(looked.range('count({job="chaosbench"})')))
    print(f"series of chaosbench: {series:.0f}")
    assert series < 2000


async def test_what_looks_on_is_no_member(looked: Looked, cluster: DockerCluster):
    names = {member.name for member in (await cluster.snapshot()).members}
    assert names.isdisjoint({*monitoring.BUILT, monitoring.GRAFANA, "monitoring"})
    assert all(not name.endswith(("prometheus", "exporter", "grafana")) for name in await cluster.containers())


def test_prometheus_listens_on_loopback_only(looked: Looked):
    port = int(looked.base.rsplit(":", 1)[1])
    rows = [
        line.split() for table in ("tcp", "tcp6") for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
    ]
    listening = {row[1].split(":")[0] for row in rows if row[3] == "0A" and int(row[1].split(":")[1], 16) == port}
    assert listening == {"0100007F"}, "127.0.0.1, as the kernel writes it"


def test_passwords_are_kept_from_others(looked: Looked, lab_directory: Path):
    path = lab_directory / "secrets" / "monitoring.env"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.stat().st_uid == lab_directory.stat().st_uid
    ignored = subprocess.run(["git", "check-ignore", str(path)], cwd=lab_directory, capture_output=True, check=False)
    assert ignored.returncode in (0, 128), "git would take it"  # 128: not a git checkout
    assert os.access(path, os.R_OK)
