"""What the benchmarks find around them: the lab's servers, this machine, the programs of others."""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import subprocess
import time
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from chaosbench.clock import Clock
from chaosbench.cluster.docker import DockerCluster
from chaosbench.cluster.health import await_healthy
from chaosbench.dataset import prepare
from chaosbench.errors import PreflightError

ROOT = Path(__file__).parents[1]
SCALE = 1
_HEALTHY_S = 60.0
_CPU_CLOCK = 2


@dataclass(frozen=True, slots=True)
class Place:
    """A server on 127.0.0.1 that the load goes to."""

    name: str
    port: int


@dataclass(frozen=True, slots=True)
class Lab:
    """Where clients of the lab connect, and the environment by which every driver finds its login."""

    directory: Path
    pgpool: Place
    node: Place
    environment: dict[str, str]


async def find_lab(directory: Path) -> Lab:
    """The lab in this directory, healthy and with pgbench's tables made. Raises ChaosbenchError."""
    async with DockerCluster.at(directory) as cluster:
        clock = Clock()
        snapshot = await await_healthy(cluster, clock, _HEALTHY_S, lambda problems: None)
        await prepare(snapshot, cluster.login, clock, frozenset({"pgbench"}), SCALE, (), lambda done, total: None)
        leader = snapshot.leader
        assert leader is not None, "a healthy cluster has one"
        login = cluster.login
        return Lab(
            directory=directory,
            pgpool=Place("Pgpool", (await cluster.proxy_address()).port),
            node=Place("one node", leader.ports["sql"].port),
            environment={"PGUSER": login.user, "PGPASSWORD": login.password, "PGDATABASE": login.database},
        )


def program(name: str) -> str:
    """Where somebody else's program is; PreflightError when it is not installed."""
    path = shutil.which(name)
    if path is None:
        raise PreflightError(f"{name} is not installed: run scripts/bench.sh, or leave out its rows")
    return path


def process_cpu_s(pid: int) -> float:
    """CPU seconds that a process and all its threads have used, to the nanosecond.

    Its clock is the one that clock_getcpuclockid(3) names, which Python has no call for.
    """
    return time.clock_gettime_ns((~pid << 3) | _CPU_CLOCK) / 1e9


def commit() -> str:
    """The checkout's commit, with ``+`` when it was changed since."""
    found = [
        _said("git", "-C", str(ROOT), *words) for words in (("rev-parse", "--short", "HEAD"), ("status", "-s", "-uno"))
    ]
    return found[0] + ("+" if found[1] else "")


def machine() -> dict[str, str]:
    """What the figures depend on."""
    cpu = next((line for line in _read("/proc/cpuinfo").splitlines() if line.startswith("model name")), ":unknown")
    memory = int(_read("/proc/meminfo").split()[1]) // 1024**2
    return {
        "cpu": f"{os.cpu_count()} x {cpu.split(':')[1].strip()}",
        "memory": f"{memory} GiB",
        "system": f"{platform.freedesktop_os_release().get('PRETTY_NAME', 'unknown')}, kernel {platform.release()}",
        "python": platform.python_version(),
        **{name: version(name) for name in ("asyncpg", "uvloop")},
        "pgbench": _last_word(_said("pgbench", "--version")),
        "sysbench": _last_word(_said("sysbench", "--version")),
        "locust": _installed("locust"),
    }


def _last_word(text: str) -> str:
    return text.split("(")[0].split()[-1] if text else "none"


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"


def _read(path: str) -> str:
    return Path(path).read_text(encoding="utf-8")


def _said(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=False).stdout.strip()
    except FileNotFoundError:
        return ""


def lab_here(directory: Path) -> Lab:
    """The same as :func:`find_lab`, for those who have no loop."""
    return asyncio.run(find_lab(directory.absolute()))
