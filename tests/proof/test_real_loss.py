"""Loss that is real: what a leader acknowledged while no replica could hear it, and took with it when it died.

The truth is found without chaosbench: a copy of the dead leader's data directory is started on its own, without any
network, and asked which rows it had; the survivors are asked over psycopg. What it has and they lack is lost.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from chaosbench import lab
from chaosbench.clock import Clock
from chaosbench.cluster.docker import DockerCluster
from chaosbench.cluster.health import await_healthy
from chaosbench.cluster.labfiles import read_lab
from chaosbench.model.cluster import Member, Role, Snapshot

pytestmark = [
    pytest.mark.proof,
    pytest.mark.skipif(
        os.geteuid() != 0 or not shutil.which("nsenter") or not shutil.which("iptables"),
        reason="cutting a container's network from outside takes root, nsenter and iptables",
    ),
]

ROOT = Path(__file__).parents[2]
CONNECTIONS = 4
# 60 rows a second for some 4 s: far below Patroni's maximum_lag_on_failover, or no replica might follow.
SCENARIO = f"""
seed: 6
defaults: {{warm_up: 1s, recovery: 100s}}
scenarios:
  real-loss:
    duration: 55s
    load: {{workload: ledger, rate: 60/s, connections: {CONNECTIONS}}}
    faults: [{{at: 6s, inject: kill, target: leader, hold: 40s}}]
    expect: {{rpo: 0}}
"""
ROWS = "SELECT id, extract(epoch FROM at) FROM chaosbench_ledger WHERE run = (SELECT max(run) FROM chaosbench_ledger)"
# A copy, because Patroni will want to rewind the original; local trust, because it has no network to be reached by.
AUTOPSY = f"""
set -e
cp -a /data/pgdata /tmp/copy
echo 'local all all trust' > /tmp/hba
options="-c listen_addresses= -c unix_socket_directories=/tmp -c hba_file=/tmp/hba"
pg_ctl=/usr/lib/postgresql/17/bin/pg_ctl
$pg_ctl -D /tmp/copy -w -t 60 -l /tmp/log start -o "$options" > /dev/null || {{ cat /tmp/log >&2; exit 1; }}
psql -h /tmp -U postgres -d chaosbench -XAtq -F ' ' -c "SELECT 'end', pg_current_wal_insert_lsn() - '0/0'" -c "{ROWS}"
"""


@dataclass(frozen=True)
class Autopsy:
    """What the dead leader had: ids with the times at which they were written, and where its WAL ended."""

    rows: dict[int, float]
    wal_end: int


def run_(*words: str, seconds: float = 60) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True, timeout=seconds).stdout.strip()


def inspected(container: str, form: str) -> str:
    return run_("docker", "inspect", "--format", form, container)


@contextmanager
def cut_off(leader: Member, replicas: tuple[Member, ...]) -> Iterator[None]:
    """No packet of PostgreSQL's protocol between the leader and its replicas; everybody else still reaches it."""
    pid = inspected(leader.container_id, "{{.State.Pid}}")
    address = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    rules = [
        (chain, end, inspected(replica.container_id, address), "-p", "tcp", port, "5432", "-j", "DROP")
        for replica in replicas
        for chain, end, port in (("INPUT", "-s", "--dport"), ("OUTPUT", "-d", "--sport"))
    ]
    try:
        for rule in rules:
            run_("nsenter", "-t", pid, "-n", "iptables", "-w", "-I", *rule)
        yield
    finally:
        # Usually gone already: the rules die with the container whose network namespace they are in.
        for rule in rules:
            subprocess.run(["nsenter", "-t", pid, "-n", "iptables", "-w", "-D", *rule], capture_output=True, timeout=60)


def autopsy(container: str) -> Autopsy:
    image = inspected(container, "{{.Config.Image}}")
    words = ("docker", "run", "--rm", "--network", "none", "--volumes-from", f"{container}:ro", "-u", "postgres")
    out = run_(*words, "--shm-size", "256m", "--entrypoint", "bash", image, "-c", AUTOPSY, seconds=100)
    first, *rows = out.splitlines()
    pairs = (row.split() for row in rows)
    return Autopsy({int(row): float(at) for row, at in pairs}, int(first.split()[1]))


def ids(directory: Path, member: Member, run: int) -> set[int]:
    login, address = read_lab(directory).login, member.ports["sql"]
    where = f"host={address.host} port={address.port} dbname={login.database} user={login.user} sslmode=disable"
    with psycopg.connect(where, password=login.password, connect_timeout=5) as connection:
        return {row for (row,) in connection.execute("SELECT id FROM chaosbench_ledger WHERE run = %s", (run,))}


def fork(leader: Member, timeline: int) -> int:
    """Where the timeline after this one began, from PostgreSQL's own history file."""
    path = f"/data/pgdata/pg_wal/{timeline + 1:08X}.history"
    last = run_("docker", "exec", leader.container_id, "cat", path).splitlines()[-1].split("\t")
    assert int(last[0]) == timeline
    high, low = last[1].split("/")
    return (int(high, 16) << 32) + int(low, 16)


@pytest.fixture(scope="module")
def lab_directory() -> Path:
    directory = lab.find_lab(ROOT, os.environ)
    asyncio.run(lab.up(directory, print))
    return directory


def snapshot(directory: Path, *, healthy: bool) -> Snapshot:
    async def look() -> Snapshot:
        async with DockerCluster.at(directory) as cluster:
            return await (await_healthy(cluster, Clock(), 120) if healthy else cluster.snapshot())

    return asyncio.run(look())


@contextmanager
def a_run(directory: Path, lab_directory: Path) -> Iterator[subprocess.Popen[str]]:
    (directory / "scenarios.yaml").write_text(SCENARIO)
    words = [sys.executable, "-m", "chaosbench", "run", str(directory / "scenarios.yaml"), "--lab", str(lab_directory)]
    process = subprocess.Popen(
        [*words, "--out", str(directory / "runs"), "--metrics-port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()  # it heals its fault
            process.communicate(timeout=120)


def test_real_loss_is_named_to_the_row(lab_directory: Path, tmp_path: Path):
    before = snapshot(lab_directory, healthy=True)
    leader = before.leader
    assert leader is not None
    timeline = before.nodes[leader.name].timeline
    assert timeline is not None
    with a_run(tmp_path, lab_directory) as process:
        until(process, r"warm-up")
        time.sleep(1 + 2.5)
        with cut_off(leader, before.replicas):
            until(process, rf"kill on {leader.name} in place")
            found = autopsy(leader.container_id)
        print(process.communicate(timeout=200)[0])
    (path,) = (tmp_path / "runs").glob("2*-real-loss/summary.json")
    summary = json.loads(path.read_text())
    after = snapshot(lab_directory, healthy=False)
    assert after.leader is not None
    assert after.leader.name != leader.name
    nodes = {node.name: ids(lab_directory, node, summary["ledger"]["run"]) for node in after.of(Role.POSTGRES)}
    holds(summary, found, nodes, fork(after.leader, timeline), leader)
    assert process.returncode == 1


def until(process: subprocess.Popen[str], pattern: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        print(line, end="")
        if re.search(pattern, line):
            return
    pytest.fail(f"no line matches {pattern!r}")


def holds(summary: dict[str, Any], found: Autopsy, nodes: dict[str, set[int]], forked_at: int, leader: Member) -> None:
    """chaosbench's account against the nodes' own."""
    ledger = summary["ledger"]
    assert ledger["checked"], ledger["note"]
    assert len(set(map(frozenset, nodes.values()))) == 1, "the survivors agree"
    survived = next(iter(nodes.values()))
    gone = set(found.rows) - survived
    unknown = set(ledger["unknown_ids"])
    assert len(gone & unknown) <= CONNECTIONS, "what was under way when the leader died, and no more"
    lost = gone - unknown
    assert 30 < len(lost) < 1000, "summary.json names the first thousand"
    assert set(ledger["lost_ids"]) == lost
    assert ledger["lost"] == len(lost)
    assert ledger["recovered"] == len(unknown & survived)
    assert ledger["unexpected"] == 0

    losses = ledger["losses"]
    written = [found.rows[row] for row in lost]
    span_s = max(written) - min(written)
    print(f"{len(lost)} rows lost; written within {span_s:.3f} s, chaosbench {losses['span_s']:.3f} s")
    print(f"WAL past the fork: {found.wal_end - forked_at:,} bytes at its end, chaosbench {losses['wal_bytes']:,}")
    assert losses["span_s"] == pytest.approx(span_s, abs=0.1)
    assert losses["nodes"] == [leader.name]
    assert losses["fault"] == "kill-leader"
    assert losses["first_after_t0_s"] < losses["last_after_t0_s"] < 1
    assert losses["wal_from"] == "fork"
    # The copy's crash recovery ends its WAL with records of its own: a checkpoint, a handful of pages at most.
    assert 0 < losses["wal_bytes"] <= found.wal_end - forked_at < losses["wal_bytes"] + 65_536

    assert [(one["metric"], one["verdict"]) for one in summary["expectations"]] == [("rpo", "fail")]
    assert summary["verdict"] == "fail"
    assert summary["cluster_whole_again"]
    served = [(one["node"], one["rows"] > 0) for one in summary["consistency"]["served"]]
    assert served[0] == (leader.name, True)
    assert len(served) == 2
    assert summary["consistency"]["split_brain"] == [], "one after the other"
