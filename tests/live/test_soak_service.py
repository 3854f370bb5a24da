"""A run as a service, for real: what systemd hears of it, and the container that Compose runs beside the lab."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from runs import scenario

from chaosbench.cluster.docker import DockerCluster
from chaosbench.cluster.labfiles import read_project
from tests.live.conftest import docker

pytestmark = pytest.mark.live

ROOT = Path(__file__).parents[2]
SOAK = """
duration: 10m
load:
  - {workload: select-only, rate: 40/s, connections: 4}
  - {workload: ledger, rate: 20/s, connections: 2}
faults:
  - {at: 2s, inject: pause, target: replica, hold: 5m}
"""


def until(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.2)


def paused(lab: Path) -> list[str]:
    mine = ("--filter", f"label=io.chaosbench.lab={read_project(lab)}", "--filter", "status=paused")
    return docker("ps", *mine, "--format", "{{.Names}}").split()


def test_systemd_hears_of_a_run_from_its_load_to_its_end(cluster: DockerCluster, lab_directory: Path, tmp_path: Path):
    heard: list[str] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as systemd:
        systemd.bind(str(tmp_path / "notify"))

        def listen(line: str) -> Callable[[], bool]:
            def there() -> bool:
                try:
                    while True:
                        heard.append(systemd.recv(4096).decode())
                except BlockingIOError:
                    return any(line in each for each in heard)

            return there

        (tmp_path / "soak.yaml").write_text(scenario(SOAK))
        words = ["run", str(tmp_path / "soak.yaml"), "--lab", str(lab_directory), "--out", str(tmp_path)]
        run = subprocess.Popen(
            [sys.executable, "-m", "chaosbench", *words, "--metrics-port", "0"],
            env={**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "2000000"},
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            until(listen("READY=1"), 90)
            assert heard.index("READY=1") > heard.index("STATUS=it: warm_up")
            heard.clear()
            until(listen("faults: pause-replica"), 60)
            assert heard.count("WATCHDOG=1") >= 2
            run.send_signal(signal.SIGHUP)
            heard.clear()
            until(listen("STATUS=it: load; "), 30)  # it goes on
            run.send_signal(signal.SIGTERM)
            until(listen("STOPPING=1"), 30)
        except BaseException:
            run.terminate()  # once: a second signal would leave without a report
            raise
        finally:
            said, _ = run.communicate(timeout=240)
    assert run.returncode == 3, "stopped early"
    assert "SIGHUP: nothing is reloaded, and the run goes on" in said
    assert paused(lab_directory) == []


def test_compose_runs_it_and_stopping_it_heals(cluster: DockerCluster, lab_directory: Path, tmp_path: Path):
    compose = shutil.which("docker-compose")
    if compose is None:
        pytest.skip("docker-compose is not on this machine")
    for place in ("scenarios", "runs", "state"):
        (tmp_path / place).mkdir()
    (tmp_path / "scenarios" / "soak.yaml").write_text(scenario(SOAK))
    lab = {"services": {"soak": {"volumes": [f"{lab_directory}:/lab:ro"]}}}
    (tmp_path / "lab.json").write_text(json.dumps(lab))
    files = ("compose.yaml", "compose.soak.yaml", str(tmp_path / "lab.json"))
    command = [compose, *(word for file in files for word in ("-f", file))]
    project = read_project(lab_directory)
    environ = {
        **os.environ,
        "COMPOSE_PROJECT_NAME": project,
        "SOAK_SCENARIOS": str(tmp_path / "scenarios"),
        "SOAK_RUNS": str(tmp_path / "runs"),
        "SOAK_STATE": str(tmp_path / "state"),
        "SOAK_OPTIONS": "--keep 30d --metrics-port 0",
    }

    def ask(*words: str) -> None:
        subprocess.run(words, cwd=ROOT / "infra", env=environ, check=True, capture_output=True, timeout=240)

    ask(str(ROOT / "infra" / "soak" / "wheels.sh"))
    ask(*command, "build", "soak")
    name = f"{project}-soak"
    try:
        ask(*command, "up", "-d", "--no-build", "--no-deps", "soak")
        until(lambda: "in place" in docker("logs", name), 90)
        (hit,) = paused(lab_directory)
        assert "-pg" in hit
        assert "io.chaosbench" not in docker("inspect", "--format", "{{json .Config.Labels}}", name)
        docker("kill", "--signal", "HUP", name)
        until(lambda: "nothing is reloaded" in docker("logs", name), 10)
        docker("stop", "--time", "50", name)
        assert docker("inspect", "--format", "{{.State.ExitCode}} {{.RestartCount}}", name) == "3 0"
        assert paused(lab_directory) == []
        (summary,) = tmp_path.glob("runs/*-it/summary.json")
        (fault,) = json.loads(summary.read_text())["faults"]
        assert fault["healed_at_s"] is not None
        assert list(tmp_path.glob("state/chaosbench/*/journal/*.json")) == []
    finally:
        docker("rm", "--force", name)
