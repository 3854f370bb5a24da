"""Workers on other machines: each a network namespace with an address and a monotonic clock of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join(str(ROOT / part) for part in (".", "tests", "tests/fast")),
    "DASK_DISTRIBUTED__ADMIN__EVENT_LOOP": "uvloop",
}
PORT = 8786
SKEWS = (4_000, 250_000)
"""Seconds that the workers' clocks are ahead of the coordinator's."""


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=10)


@contextmanager
def machines(workers: int) -> Iterator[tuple[str, list[str]]]:
    """Namespaces on one bridge: the coordinator's, which holds the bridge, and the workers'. Gone afterwards."""
    hub, others = f"cbt{os.getpid()}h", [f"cbt{os.getpid()}w{n}" for n in range(workers)]
    made: list[str] = []
    try:
        for name in (hub, *others):
            run("ip", "netns", "add", name)
            made.append(name)
            run("ip", "-n", name, "link", "set", "lo", "up")
        run("ip", "-n", hub, "link", "add", "br0", "type", "bridge")
        run("ip", "-n", hub, "addr", "add", "10.213.7.1/24", "dev", "br0")
        run("ip", "-n", hub, "link", "set", "br0", "up")
        for n, name in enumerate(others):
            run("ip", "-n", hub, "link", "add", f"v{n}", "type", "veth", "peer", "name", "eth0", "netns", name)
            run("ip", "-n", hub, "link", "set", f"v{n}", "master", "br0", "up")
            run("ip", "-n", name, "addr", "add", f"10.213.7.{n + 2}/24", "dev", "eth0")
            run("ip", "-n", name, "link", "set", "eth0", "up")
        yield hub, others
    finally:
        for name in made:
            run("ip", "netns", "del", name)


def lacks() -> str | None:
    """Why this machine cannot play several."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    try:
        with machines(1) as (_, (name,)):
            run("unshare", "--time", "--monotonic", "1000", "ip", "netns", "exec", name, "true")
    except FileNotFoundError as error:
        return f"there is no {error.filename}"
    except subprocess.CalledProcessError as error:
        return f"{error.cmd[0]} says: {error.stderr.decode().strip()}"
    return None


@contextmanager
def process(*command: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process for the length of the block; killed if it does not end."""
    with subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as started:
        try:
            yield started
        finally:
            started.terminate()
            try:
                started.wait(5)
            except subprocess.TimeoutExpired:
                started.kill()


def test_a_scheduler_and_workers_on_other_machines_with_other_clocks_one_of_which_dies(tmp_path: Path):
    reason = lacks()
    if reason is not None:
        pytest.skip(reason)
    dask, scheduler = str(Path(sys.executable).parent / "dask"), f"tcp://10.213.7.1:{PORT}"
    with machines(2) as (hub, others), ExitStack() as stack:
        beside = ("ip", "netns", "exec", hub)
        where = ("--host", "10.213.7.1", "--port", str(PORT), "--no-dashboard")
        stack.enter_context(process(*beside, dask, "scheduler", *where))
        pids = []
        for n, (name, skew) in enumerate(zip(others, SKEWS, strict=True)):
            there = ("unshare", "--time", "--monotonic", str(skew), "ip", "netns", "exec", name)
            local = ("--host", f"10.213.7.{n + 2}", "--nthreads", "1", "--no-nanny", "--no-dashboard")
            directory = ("--local-directory", str(tmp_path))
            worker = process(*there, dask, "worker", scheduler, *local, *directory)
            pids.append(stack.enter_context(worker).pid)
        (tmp_path / "pid").write_text(str(pids[1]))
        said = subprocess.run(
            [*beside, sys.executable, "tests/fast/many_machines.py", scheduler, "10.213.7.1", str(tmp_path / "pid")],
            cwd=ROOT,
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert said.returncode == 0, said.stderr[-2000:]
    found = json.loads(said.stdout)
    assert found["peers"] == ["10.213.7.2", "10.213.7.3"], "the load comes from the workers themselves"
    assert found["attempted"] > 200
    assert [address.rpartition(":")[0] for address, *_ in found["workers"]] == ["tcp://10.213.7.2", "tcp://10.213.7.3"]
    for (_, offset_s, uncertainty_ms, _), skew in zip(found["workers"], SKEWS, strict=True):
        assert abs(offset_s - skew) * 1e3 <= uncertainty_ms + 1e-3
        assert uncertainty_ms < 50
    assert [why for *_, why in found["workers"]] == [None, "its process is gone"]
