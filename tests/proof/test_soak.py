"""Five minutes of soak on the lab, killed once and gone on with: flat memory, nothing leaked, exact ledger.

The rows are compared by this test itself: what stands in the table and in the checkpoints of every node, against what
chaosbench says it acknowledged, lost and found.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pyroaring import BitMap64

from chaosbench import lab
from chaosbench.cluster.labfiles import read_lab, read_project
from chaosbench.journal.directory import DiskJournal
from chaosbench.journal.place import state_directory
from tests.proof.whole import Outside, docker

pytestmark = pytest.mark.proof

SCENARIO = """
seed: 11
scenarios:
  soak:
    duration: 5m
    warm_up: 5s
    recovery: 120s
    settle: 20s
    rollup: 70s
    cool_down: 2s
    budget: 100/h
    load:
      - {workload: ledger, rate: 200/s, connections: 8, deadline: 2s}
      - {workload: select-only, rate: 100/s, connections: 8, deadline: 2s}
    faults:
      - name: random
        mtbf: 14s
        when: healthy
        choose:
          - {inject: pause, target: replica, hold: 2s..4s, weight: 3}
          - {inject: kill, target: replica, hold: 1s..2s, weight: 2}
          - {inject: switchover, weight: 2}
          - {inject: terminate-backends, target: leader, share: 50%, weight: 2}
    expect: {unexpected: 0, split_brain: 0}
"""
SECONDS = 300
KILLED_AT_S = 120
MOST_GROWTH = 8e6
"""Bytes of memory by which the second segment may grow after its first 30 s; caches of libraries fill that late."""


def begin(file: Path, out: Path, infra: Path, log: Path) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-m", "chaosbench", "run", str(file), "--resume", "auto", "--lab", str(infra)]
    with log.open("a") as output:
        return subprocess.Popen([*words, "--out", str(out), "--metrics-port", "0"], stdout=output, stderr=output)


def test_a_soak_is_killed_goes_on_and_leaks_nothing(tmp_path: Path):
    infra = lab.find_lab(Path(__file__))
    outside = Outside.of(infra)
    _, problems = outside.whole_within(time.monotonic(), 60)
    assert not problems
    before = containers()
    file, log, out = tmp_path / "soak.yaml", tmp_path / "run.log", tmp_path / "runs"
    file.write_text(SCENARIO)
    run = begin(file, out, infra, log)
    try:
        kill_in_the_middle(run, out)
        run = begin(file, out, infra, log)
        code = run.wait(timeout=500)
    finally:
        run.kill()
        print(log.read_text())
    assert code == 0
    (directory,) = (path.parent for path in out.glob("2*/summary.json"))
    summary = json.loads((directory / "summary.json").read_text())
    check_segments(summary)
    check_faults(summary, directory)
    check_ledger(summary["ledger"], summary["soak"]["settled"], infra)
    check_usage(directory)
    assert DiskJournal(state_directory(read_project(infra))).read().deeds == ()
    _, problems = outside.whole_within(time.monotonic(), 120)
    assert not problems
    assert containers() == before, "a helper container was left behind"


def kill_in_the_middle(run: subprocess.Popen[bytes], out: Path) -> None:
    deadline = time.monotonic() + 240
    while elapsed(out) < KILLED_AT_S:
        assert run.poll() is None
        assert time.monotonic() < deadline, "the load did not get so far"
        time.sleep(0.5)
    run.send_signal(signal.SIGKILL)
    run.wait(timeout=10)


def elapsed(out: Path) -> float:
    states = list(out.glob("2*/state.json"))
    return json.loads(states[0].read_text())["elapsed_ns"] / 1e9 if states else 0.0


def containers() -> set[str]:
    return set(docker("ps", "-aq").split())


def check_segments(summary: dict[str, Any]) -> None:
    first, second = summary["soak"]["segments"]
    print("segments:", first, second)
    assert (first["ended"], second["ended"]) == (False, True)
    assert second["from_s"] == first["to_s"] >= KILLED_AT_S
    assert second["gap_s"] > 0
    assert summary["duration_s"] == pytest.approx(SECONDS, abs=2)
    load = summary["load"]
    assert load["attempted"] == load["ok"] + load["failed"] + load["unknown"] + load["shed"] + load["in_flight"]
    assert load["attempted"] == pytest.approx(300 * SECONDS, rel=0.02), "both segments, and each operation once"
    assert summary["latency_ms"]["response"]["count"] == load["ok"]
    assert summary["soak"]["rollups"] == SECONDS // 70


def check_faults(summary: dict[str, Any], directory: Path) -> None:
    injected = [fault for fault in summary["faults"] if fault["injected_at_s"] is not None]
    for fault in injected:
        print(fault["name"], fault["injector"], fault["member"], fault["rto_s"], fault["healed_at_s"], fault["skipped"])
    assert len(injected) >= 5
    assert all(fault["healed_at_s"] is not None for fault in injected if not fault["skipped"])
    assert len({fault["name"] for fault in summary["faults"]}) == len(summary["faults"])
    table = summary["soak"]["fault_table"]
    told = [json.loads(line)["name"] for line in (directory / "faults.jsonl").read_text().splitlines()]
    assert set(told) <= {fault["name"] for fault in summary["faults"]}
    counts = ("recovered", "unnoticed", "not_recovered", "trouble", "skipped")
    assert sum(row[name] for row in table for name in counts) == len(summary["faults"])


def check_ledger(ledger: dict[str, Any], settled: dict[str, Any], infra: Path) -> None:
    """Every node holds what is said, no more and no less: rows, and checkpoints for those that were settled."""
    print("ledger:", {key: value for key, value in ledger.items() if key not in ("nodes", "unknown_ids")}, settled)
    files = read_lab(infra)
    ports = docker("ps", "--filter", "label=io.chaosbench.role=postgres", "--format", "{{.ID}}").split()
    for container in ports:
        host, port = docker("port", container, "5432").splitlines()[0].split(":")
        with psycopg.connect(
            host=host, port=int(port), user=files.login.user, password=files.login.password, dbname=files.login.database
        ) as node:
            rows = BitMap64(
                [row for (row,) in node.execute("SELECT id FROM chaosbench_ledger WHERE run = %s", [ledger["run"]])]
            )
            held = BitMap64()
            sql = "SELECT ids FROM chaosbench_checkpoint WHERE run = %s ORDER BY number"
            for (ids,) in node.execute(sql, [ledger["run"]]):
                held |= BitMap64.deserialize(bytes(ids))
        assert len(held) == settled["rows"] > 0
        assert not rows & held, "a row that a checkpoint stands for is deleted"
        lost, found = ledger["lost"], ledger["recovered"] + ledger["unexpected"]
        assert len(rows) + len(held) == ledger["acked"] - lost + found, container
        assert not set(ledger["lost_ids"]) & set(rows | held)
    assert ledger["checked"]
    assert (ledger["unexpected"], settled["gone"]) == (0, 0)
    assert ledger["attempted"] == ledger["acked"] + ledger["failed"] + ledger["unknown"]


def check_usage(directory: Path) -> None:
    """Of the second segment, after 30 s: memory flat, and no more descriptors and tasks at the end than before."""
    rows = [json.loads(line) for line in (directory / "usage.jsonl").read_text().splitlines()]
    begun = max(n for n in range(1, len(rows)) if rows[n]["cpu_s"] < rows[n - 1]["cpu_s"])
    warm = [row for row in rows[begun:] if row["at_s"] > rows[begun]["at_s"] + 30]
    print("usage:", *warm, sep="\n  ")
    assert len(warm) >= 4
    assert max(row["rss_bytes"] for row in warm) - warm[0]["rss_bytes"] < MOST_GROWTH
    half = len(warm) // 2
    for name, slack in (("fds", 6), ("tasks", 6), ("threads", 1)):
        assert min(row[name] for row in warm[half:]) <= min(row[name] for row in warm[:half]) + slack, name
