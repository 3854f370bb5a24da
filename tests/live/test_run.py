"""`chaosbench run` as a person runs it, on the real lab: what it leaves, says, serves, and heals."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from chaosbench import postgres
from chaosbench.cluster.docker import DockerCluster
from chaosbench.model.cluster import Member, Role
from chaosbench.results import summary_schema
from tests.live.conftest import container_state, docker
from tests.live.runs import running, scenario

pytestmark = pytest.mark.live

LOAD = """
load:
  - {workload: select-only, rate: 100/s, connections: 8}
  - {workload: ledger, rate: 100/s, connections: 8}
"""
# The lab has one etcd: freezing it takes the quorum away.
FREEZE = "allow_quorum_loss: true\nfaults: [{at: 1s, inject: pause, target: etcd, hold: 40s}]"


def lawful(load: dict[str, Any]) -> bool:
    return load["attempted"] == sum(load[part] for part in ("ok", "failed", "unknown", "shed", "in_flight"))


async def test_a_leader_kill_under_load_is_measured_and_healed(cluster: DockerCluster, lab_directory: Path, tmp_path):
    leader = (await cluster.snapshot()).leader
    assert leader is not None
    yaml = scenario("""
duration: 55s
load:
  - {workload: select-only, rate: 400/s, connections: 16}
  - {workload: simple-update, clients: 4, think: 20ms}
  - {workload: ledger, rate: 200/s, arrivals: poisson, connections: 16}
faults:
  - {at: 5s, inject: kill, target: leader, hold: 25s}
expect: {rto: "<= 45s", unexpected: 0}
""")
    with running(tmp_path, lab_directory, yaml) as run:
        run.until(r"fault kill-leader: kill on \w+ in place")
        assert container_state(leader.container_id) == "exited"
        assert re.search(r'chaosbench_fault_active\{[^}]*injector="kill"[^}]*\} 1', run.metrics())
        code = run.ended()
    summary = run.summary()
    jsonschema.validate(summary, summary_schema())
    assert code == 0, run.output
    assert container_state(leader.container_id) == "running"
    (fault,) = summary["faults"]
    assert fault["member"] == leader.name == fault["leader_before"] != fault["leader_after"]
    assert 5 <= fault["injecting_at_s"] < 8
    assert fault["healed_at_s"] - fault["injected_at_s"] >= 25
    # The ttl is 20 s and is renewed every 5: without it nobody can be elected sooner.
    assert 8 < fault["rto_s"] < 45
    assert fault["write_gap_s"] == pytest.approx(fault["rto_s"], abs=2.5)
    assert {window["op_class"] for window in fault["error_windows"]} >= {"write", "connect"}
    assert lawful(summary["load"])
    assert summary["load"]["in_flight"] == 0
    assert summary["ledger"]["checked"]
    assert {node["node"] for node in summary["ledger"]["nodes"]} == {"pg1", "pg2", "pg3"}
    kinds = [json.loads(line)["kind"] for line in (run.out / "latest" / "events.jsonl").read_text().splitlines()]
    assert {"fault_injected", "fault_healed", "leader_changed", "window_opened", "window_closed"} <= set(kinds)
    await counts_agree(cluster, summary["ledger"])


async def counts_agree(cluster: DockerCluster, ledger: dict[str, Any]) -> None:
    """Every node has as many rows as the ledger says: by a count, which chaosbench's comparison of ids does not use."""
    for node in await members(cluster, Role.POSTGRES):
        (row,) = await postgres.fetch(
            node.ports["sql"],
            cluster.login,
            "SELECT count(*) AS n FROM chaosbench_ledger WHERE run = $1",
            ledger["run"],
        )
        assert row["n"] == ledger["acked"] - ledger["lost"] + ledger["recovered"] + ledger["unexpected"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_heals_and_reports(
    cluster: DockerCluster, lab_directory: Path, tmp_path, number: signal.Signals
):
    etcd = one(await members(cluster, Role.ETCD))
    body = "duration: 60s" + LOAD + FREEZE
    with running(tmp_path, lab_directory, scenario(body)) as run:
        run.until(r"pause on etcd1 in place")
        assert container_state(etcd.container_id) == "paused"
        run.process.send_signal(number)
        assert run.ended() == 3
    assert container_state(etcd.container_id) == "running"
    summary = run.summary()
    assert summary["verdict"] == "unknown"
    assert "stopped early" in summary["why"]
    assert lawful(summary["load"])


async def test_two_signals_heal_and_leave(cluster: DockerCluster, lab_directory: Path, tmp_path):
    etcd = one(await members(cluster, Role.ETCD))
    body = "duration: 60s" + LOAD + FREEZE
    with running(tmp_path, lab_directory, scenario(body)) as run:
        run.until(r"pause on etcd1 in place")
        run.process.send_signal(signal.SIGINT)
        await asyncio.sleep(0.3)
        run.process.send_signal(signal.SIGINT)
        assert run.ended() != 0
    assert container_state(etcd.container_id) == "running"
    assert "Traceback" not in run.output


async def test_a_frozen_pgpool_ends_in_outcomes(cluster: DockerCluster, lab_directory: Path, tmp_path):
    body = """
duration: 25s
load:
  - {workload: select-only, rate: 100/s, connections: 8, timeout: 2s, deadline: 2s, connect_timeout: 2s}
  - {workload: ledger, clients: 4, timeout: 2s, connect_timeout: 2s}
faults: [{at: 2s, inject: pause, target: pgpool, hold: 12s}]
"""
    with running(tmp_path, lab_directory, scenario(body)) as run:
        run.ended()
    summary = run.summary()
    assert lawful(summary["load"])
    reasons = {reason for operation in summary["operations"] for reason in operation["reasons"]}
    assert {"failed/timeout", "unknown/timeout", "shed/deadline"} <= reasons
    (fault,) = summary["faults"]
    assert fault["recovered"], "writes came back after the thaw"
    assert 10 < fault["rto_s"] < 22


async def test_every_workload_runs(cluster: DockerCluster, lab_directory: Path, tmp_path):
    body = """
duration: 3s
load:
  - {workload: select-only, clients: 2}
  - {workload: simple-update, clients: 2}
  - {workload: tpcb-like, clients: 2}
  - {workload: mixed, read_ratio: 50%, clients: 2}
  - {workload: ledger, rate: 50/s, connections: 2, retries: 2}
  - workload: sql
    clients: 2
    setup: ["CREATE TABLE IF NOT EXISTS live_test (k int PRIMARY KEY, v text)"]
    operations:
      - name: upsert
        class: write
        statements:
          - sql: INSERT INTO live_test VALUES ($1, $2) ON CONFLICT (k) DO UPDATE SET v = excluded.v
            parameters: [{uniform: [1, 50]}, {text: 12}]
      - name: both
        class: write
        statements:
          - {sql: "SELECT v FROM live_test WHERE k = $1", parameters: [{uniform: [1, 50]}]}
          - {sql: "DELETE FROM live_test WHERE k = $1", parameters: [{uniform: [1, 50]}]}
      - {name: look, class: read, weight: 3, statements: [{sql: "SELECT count(*) FROM live_test"}]}
expect: {ok_rate: ">= 90%"}
"""
    with running(tmp_path, lab_directory, scenario(body)) as run:
        assert run.ended() == 0, run.output
    done = {operation["operation"]: operation["counts"] for operation in run.summary()["operations"]}
    for name in ("select-only", "simple-update", "tpcb-like", "insert", "upsert", "both", "look"):
        assert done[name]["ok"] > 0, name


async def test_pgbench_runs_against_the_same_data(cluster: DockerCluster, lab_directory: Path):
    """The tables are pgbench's own: it finds its scale and runs its transactions."""
    leader = (await cluster.snapshot()).leader
    assert leader is not None
    password = dict(
        line.split("=", 1) for line in (lab_directory / "secrets" / "lab.env").read_text().splitlines() if "=" in line
    )["CHAOSBENCH_PASSWORD"]
    out = docker(
        "exec", "-e", f"PGPASSWORD={password}", leader.container_id,
        "pgbench", "-h", "127.0.0.1", "-U", "chaosbench", "-n", "-t", "20", "-M", "prepared", "chaosbench",
    )  # fmt: skip
    assert "scaling factor: 1" in out
    assert "number of failed transactions: 0" in out


async def test_what_a_run_says_before_it_touches_anything(cluster: DockerCluster, lab_directory: Path, tmp_path):
    crowd = scenario("duration: 5s\nload: {workload: select-only, clients: 5000}")
    with running(tmp_path, lab_directory, crowd) as run:
        assert run.ended() == 3
        assert "5000 connections, but Pgpool has room for" in run.output
    stranger = scenario("duration: 30s" + LOAD + "faults: [{at: 1s, inject: kill, target: somebody, hold: 2s}]")
    with running(tmp_path, lab_directory, stranger) as run:
        assert run.ended() == 2
        assert "somebody" in run.output
        assert "label" in run.output
        assert "Traceback" not in run.output


async def test_two_runs_cannot_share_a_lab(cluster: DockerCluster, lab_directory: Path, tmp_path):
    body = scenario("duration: 20s" + LOAD)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with running(tmp_path / "a", lab_directory, body) as first:
        first.until("warm-up")
        with running(tmp_path / "b", lab_directory, body) as second:
            assert second.ended() == 3
            assert "another chaosbench run is using the lab" in second.output


async def members(cluster: DockerCluster, role: Role) -> tuple[Member, ...]:
    return (await cluster.snapshot()).of(role)


def one(found: tuple[Member, ...]) -> Member:
    (member,) = found
    return member
