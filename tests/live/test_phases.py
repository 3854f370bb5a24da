"""The phases of a leader kill and of a switchover against what Patroni, PostgreSQL and Pgpool logged themselves.

All processes run on one machine and stamp with one wall clock, so the stamps
compare directly. What a log line can be late by is said at each comparison.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from chaosbench.cluster.docker import DockerCluster
from tests.live.conftest import docker

pytestmark = pytest.mark.live

PATIENCE = 240
LOG_S = 0.005
"""A log line's stamp may be this much before our own: milliseconds, rounded down, and the anchor's microseconds."""

ETCD_S = 0.12
"""etcd tells its watchers after it has answered the writer, and its container may run for 10 ms in every 100."""

SCENARIO = """
seed: 7
defaults:
  warm_up: 2s
  recovery: 60s
  load:
    - {{workload: select-only, rate: 50/s, connections: 4}}
    - {{workload: ledger, rate: 100/s, connections: 4}}
scenarios:
  it:
    duration: {duration}
    faults:
      - {{at: 6s, {fault}}}
"""


@dataclass(frozen=True)
class Run:
    """A scenario's one fault, and the logs of its time."""

    fault: dict[str, Any]
    zero: datetime

    @property
    def phases(self) -> dict[str, Any]:
        return self.fault["phases"]

    def logged(self, member: str, pattern: str) -> list[float]:
        """When lines that match were written since T0, in the summary's seconds, by their own stamps."""
        since = datetime.fromtimestamp(self.zero.timestamp() + self.phases["t0_s"] - 0.5, UTC)
        words = ["docker", "logs", "--since", since.isoformat().replace("+00:00", "Z"), f"chaosbench-{member}"]
        ended = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
        found = []
        for line in (ended.stdout + ended.stderr).splitlines():
            stamped = re.match(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)[.,](\d{3})", line)
            if stamped and re.search(pattern, line):
                at = datetime.fromisoformat(f"{stamped[1]}.{stamped[2]}+00:00")
                found.append((at - self.zero).total_seconds())
        return found

    def first(self, member: str, pattern: str, since: float = 0.0) -> float:
        """Of a step that may have been taken more than once, the first time since then."""
        found = [at for at in self.logged(member, pattern) if at >= since]
        assert found, f"{member} logged nothing like {pattern!r}"
        return found[0]


def run(directory: Path, lab: Path, fault: str, duration: str) -> Run:
    file = directory / "scenarios.yaml"
    file.write_text(SCENARIO.format(fault=fault, duration=duration))
    words = ["run", str(file), "--lab", str(lab), "--out", str(directory / "runs"), "--metrics-port", "0"]
    ended = subprocess.run(
        [sys.executable, "-m", "chaosbench", *words], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    print(ended.stdout, ended.stderr)
    (path,) = directory.glob("runs/*-it/summary.json")
    summary = json.loads(path.read_text())
    failed = [observer for observer in summary["observers"] if observer["failed"]]
    assert not failed
    return Run(summary["faults"][0], datetime.fromisoformat(summary["started_at"].replace("Z", "+00:00")))


def agrees_with_the_logs(found: Run) -> None:
    phases, new = found.phases, found.fault["leader_after"]
    stamps = [phases[f"t{number}_s"] for number in (0, 2, 3, 4, 5, 6)]
    assert None not in stamps
    assert stamps == sorted(stamps)
    # The cluster may be whole before the load's clients are back, who wait up to a second before they try again.
    assert phases["t7_s"] >= phases["t4_s"]
    assert phases["t0_s"] <= phases["t1_s"] <= phases["t6_s"]
    assert phases["hangs_at"] is None
    lengths = [phases[f"{name}_s"] for name in ("detection", "election", "promotion", "proxy", "client")]
    assert sum(lengths) == pytest.approx(found.fault["rto_s"], abs=0.001)
    assert phases["within_s"]["t4"] <= 0.5, "10 ms is the plan; two cores may be busy with the promotion"

    elected = phases["t3_s"] - ETCD_S
    told = {
        # Patroni logs after its request for the key was answered and some housekeeping in the DCS.
        "t3": found.first(new, "promoted self to leader by acquiring session lock", elected) - phases["t3_s"],
        # Between this line and "ready to accept connections" PostgreSQL leaves recovery; a sample sees it 10 ms later.
        "t4": phases["t4_s"] - found.first(new, "archive recovery complete", elected),
    }
    print({name: round(seconds, 3) for name, seconds in told.items()})
    assert -ETCD_S <= told["t3"] <= 0.5
    assert -LOG_S - phases["within_s"]["t4"] <= told["t4"]
    ready = found.first(new, "database system is ready to accept connections", elected)
    assert phases["t4_s"] - ready <= 0.1 + phases["within_s"]["t4"]
    assert found.first(new, "selected new timeline ID", elected) <= phases["t4_s"]
    pgpool_decided(found, f"set new primary node: {int(new[2:]) - 1}$")
    in_step = [at for at in found.logged("pgpool1", "follow_patroni: in step") if at >= phases["t4_s"]]
    assert in_step, "the reconciler, too, saw that all is well"
    # It asks Pgpool's control port, the observer asks as a client: whichever saw it last.
    assert phases["t7_s"] - max(in_step[-1], phases["t5_s"]) <= 3


def pgpool_decided(found: Run, pattern: str) -> None:
    """T5 against Pgpool's log: it decides, starts its processes anew, and then lets a client in.

    It says so after every attach and detach, and after an earlier election: the last one before T5 counts. While it
    knows no primary it sends writes to its main node, which may be the new one: then they work before it says so, and
    an acknowledged write is T5.
    """
    phases = found.phases
    decided = [at for at in found.logged("pgpool1", pattern) if at >= phases["t0_s"]]
    assert decided, "it did decide so"
    before = [at for at in decided if at <= phases["t5_s"] + LOG_S]
    print({"t5": round(phases["t5_s"] - (before[-1] if before else decided[0]), 3)})
    if before:
        assert phases["t5_s"] - before[-1] <= 10
    else:
        assert phases["t5_s"] == min(phases["t6_s"], phases["canary_t6_s"]), "as a write through it proves"


async def test_a_leader_kill(cluster: DockerCluster, lab_directory: Path, tmp_path: Path):
    found = run(tmp_path, lab_directory, "inject: kill, target: leader, hold: 25s", "50s")
    phases = found.phases
    agrees_with_the_logs(found)
    assert phases["path"] == "failover"
    assert phases["elections"] >= 1, "one, unless the first who won could not keep it"
    killed = next(stamp["at_s"] for stamp in phases["engine"] if stamp["action"] == "kill")
    assert phases["t0_s"] - LOG_S <= killed <= found.fault["injected_at_s"] + LOG_S, "the engine's own time of it"
    # The lease had up to a second more than etcd tells, and etcd looks for expired ones every half second.
    assert -0.2 <= phases["detection_s"] - phases["lease_ttl_s"] <= 2.0


async def test_a_switchover(cluster: DockerCluster, lab_directory: Path, tmp_path: Path):
    found = run(tmp_path, lab_directory, "inject: switchover", "25s")
    phases, old = found.phases, found.fault["leader_before"]
    agrees_with_the_logs(found)
    assert (phases["path"], phases["elections"]) == ("switchover", 1)
    released = found.first(old, "Leader key released") - phases["t2_s"]
    ended = phases["t1_s"] - found.first(old, "received fast shutdown request")
    print({"t2": round(released, 3), "t1": round(ended, 3)})
    assert -ETCD_S <= released <= 0.5, "logged once etcd has answered"
    # The writes that hang while the last checkpoint is made are meant to start before it.
    assert -0.5 <= ended <= 0.5
    assert phases["engine"] == [], "nobody touched a container"


def test_the_containers_are_called_as_this_test_thinks():
    assert docker("inspect", "--format", "{{.State.Running}}", "chaosbench-pgpool1") == "true"
