"""The Docker engine restarts in the middle of a run: outcomes are kept, faults are healed, there is a verdict.

Without live-restore every container dies with the engine. So this is the last
proof (see conftest.py), and it needs root and an engine that may be restarted:
one that ``infra/setup.sh`` started, which also starts it again here.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from chaosbench import lab
from chaosbench.cluster.labfiles import read_project
from chaosbench.journal.directory import DiskJournal
from chaosbench.journal.place import state_directory
from tests.proof.whole import Outside, docker

PID_FILE = Path("/var/run/docker.pid")

pytestmark = [
    pytest.mark.unsettled,
    pytest.mark.proof,
    pytest.mark.skipif(os.geteuid() != 0, reason="restarting the engine takes root"),
    pytest.mark.skipif(bool(os.environ.get("DOCKER_HOST")), reason="the engine is not this machine's own"),
    pytest.mark.skipif(Path("/run/systemd/system").is_dir(), reason="the engine is systemd's, not this test's"),
]

SCENARIO = """
seed: 7
defaults: {warm_up: 1s, recovery: 120s}
scenarios:
  restart:
    duration: 60s
    allow_quorum_loss: true
    load:
      - {workload: ledger, rate: 50/s, connections: 4}
      - {workload: select-only, rate: 50/s, connections: 4}
    faults:
      - {name: freeze-etcd, at: 1s, inject: pause, target: etcd, hold: 35s}
      - {name: kill-replica, at: 2s, inject: kill, target: pg2, hold: 6s}
      - {name: into-the-void, at: 11s, inject: pause, target: pg3, hold: 5s}
"""


def stop_engine() -> None:
    """As a package's upgrade does: SIGTERM, and wait for its end."""
    pid = int(PID_FILE.read_text())
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + 60
    while Path(f"/proc/{pid}").exists() and PID_FILE.exists():
        assert time.monotonic() < deadline, "dockerd does not end"
        time.sleep(0.1)


def start_engine(infra: Path) -> None:
    subprocess.run([str(infra / "setup.sh")], check=True, timeout=120)


def until(file: Path, words: str, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while words not in file.read_text():
        assert time.monotonic() < deadline, file.read_text()
        time.sleep(0.1)


def test_the_engine_restarts_during_a_run(tmp_path: Path):
    infra = lab.find_lab(Path(__file__))
    outside = Outside.of(infra)
    _, problems = outside.whole_within(time.monotonic(), 60)
    assert not problems
    others = docker("ps", "-q").split()
    file, log = tmp_path / "restart.yaml", tmp_path / "run.log"
    file.write_text(SCENARIO)
    words = [sys.executable, "-m", "chaosbench", "run", str(file), "--lab", str(infra)]
    words += ["--out", str(tmp_path / "runs"), "--metrics-port", "0"]
    with log.open("w") as output:
        run = subprocess.Popen(words, stdout=output, stderr=output)
    try:
        until(log, "kill on pg2 in place", 60)
        time.sleep(2)
        stop_engine()
        time.sleep(4)  # so that the replica's time comes while there is no engine
        start_engine(infra)
        code = run.wait(timeout=400)
    finally:
        run.kill()
        if not PID_FILE.exists():
            start_engine(infra)
        for each in others:
            docker("start", each)
    said = log.read_text()
    print(said)
    assert "Traceback" not in said
    assert code in (0, 1, 3)
    (path,) = (tmp_path / "runs").glob("2*/summary.json")
    summary = json.loads(path.read_text())
    check_outcomes(summary)
    check_faults(summary)
    assert DiskJournal(state_directory(read_project(infra))).read().deeds == ()
    _, problems = outside.whole_within(time.monotonic(), 120)
    assert not problems


def check_outcomes(summary: dict) -> None:
    load = summary["load"]
    assert load["attempted"] == load["ok"] + load["failed"] + load["unknown"] + load["shed"] + load["in_flight"]
    assert load["ok"] > 0
    assert load["failed"] + load["unknown"] + load["shed"] > 100, "with the engine every server was gone"
    assert summary["verdict"] in ("pass", "fail", "unknown")


def check_faults(summary: dict) -> None:
    faults = {fault["name"]: fault for fault in summary["faults"]}
    assert faults["freeze-etcd"]["healed_at_s"] is not None
    assert faults["kill-replica"]["healed_at_s"] is not None
    for fault in faults.values():
        print(fault["name"], fault["injected_at_s"], fault["healed_at_s"], fault["error"])
