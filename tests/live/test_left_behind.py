"""What a run leaves behind when it is killed, and who puts it right, on the real lab."""

from __future__ import annotations

import asyncio
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from chaosbench.cluster.docker import DockerCluster
from chaosbench.model.cluster import Member, Role
from tests.live.conftest import container_state
from tests.live.runs import running, scenario

pytestmark = [pytest.mark.live, pytest.mark.asyncio]

LOAD = "\nload: {workload: select-only, rate: 20/s, connections: 2}\n"
FREEZE = "allow_quorum_loss: true\nduration: 60s" + LOAD + "faults: [{at: 1s, inject: pause, target: etcd, hold: 40s}]"
SHORT = "duration: 2s" + LOAD


async def etcd_of(cluster: DockerCluster) -> Member:
    return (await cluster.snapshot()).of(Role.ETCD)[0]


def chaosbench(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "chaosbench", *words], capture_output=True, text=True, timeout=90)


def until_running(container: str, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while container_state(container) != "running":
        assert time.monotonic() < deadline
        time.sleep(0.1)


def kill_with_guard(pid: int) -> None:
    words = ["pgrep", "-P", str(pid), "-f", "chaosbench.guard"]
    os.kill(int(subprocess.run(words, capture_output=True, text=True).stdout), signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)


async def test_killed_and_healed_by_its_guard(cluster: DockerCluster, lab_directory: Path, tmp_path: Path):
    etcd = await etcd_of(cluster)
    with running(tmp_path, lab_directory, scenario(FREEZE)) as run:
        run.until(r"pause on etcd1 in place")
        busy = chaosbench("heal", "--lab", str(lab_directory))
        assert busy.returncode == 3
        assert "a chaosbench run, which heals its own faults, is using the lab" in busy.stderr
        assert container_state(etcd.container_id) == "paused"
        run.process.kill()
        until_running(etcd.container_id, 15)


async def test_killed_with_its_guard_and_healed_by_the_next(cluster: DockerCluster, lab_directory: Path, tmp_path):
    etcd = await etcd_of(cluster)
    with running(tmp_path, lab_directory, scenario(FREEZE)) as run:
        run.until(r"pause on etcd1 in place")
        kill_with_guard(run.process.pid)
        run.process.wait()
    await asyncio.sleep(3)
    assert container_state(etcd.container_id) == "paused", "nobody is left who could have healed it"
    (tmp_path / "next").mkdir()
    with running(tmp_path / "next", lab_directory, scenario(SHORT)) as following:
        assert following.ended() == 0
    assert "healed: pause-etcd: pause on etcd1" in following.output
    assert container_state(etcd.container_id) == "running"
    again = chaosbench("heal", "--lab", str(lab_directory))
    assert again.returncode == 0
    assert "nothing to heal in the lab" in again.stdout


async def test_a_closed_terminal_heals_and_reports(cluster: DockerCluster, lab_directory: Path, tmp_path: Path):
    etcd = await etcd_of(cluster)
    file = tmp_path / "scenarios.yaml"
    file.write_text(scenario(FREEZE))
    pid, terminal = pty.fork()
    if pid == 0:
        words = [sys.executable, "-m", "chaosbench", "run", str(file), "--lab", str(lab_directory)]
        os.execv(sys.executable, [*words, "--out", str(tmp_path / "runs"), "--metrics-port", "0"])
    try:
        seen = b""
        while container_state(etcd.container_id) != "paused":
            seen += os.read(terminal, 65536)
        os.close(terminal)
        until_running(etcd.container_id, 15)
        _, status = await asyncio.to_thread(os.waitpid, pid, 0)
    except BaseException:
        os.kill(pid, signal.SIGKILL)
        raise
    assert os.waitstatus_to_exitcode(status) == 3
    assert list((tmp_path / "runs").glob("2*/summary.json")), "it reports all the same"
