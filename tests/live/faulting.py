"""What the live tests of faults share: a fault put on a member of the lab, and views of that member from outside."""

from __future__ import annotations

import asyncio
import json
import random
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from chaosbench.clock import Clock
from chaosbench.cluster.docker import DockerCluster
from chaosbench.cluster.health import await_healthy
from chaosbench.injectors import Injector
from chaosbench.injectors.injection import Hands, injected
from chaosbench.injectors.targets import resolve
from chaosbench.model.cluster import Member
from tests.live.conftest import docker

CLOCK = Clock()


async def target_of(fault: Injector, cluster: DockerCluster) -> Member:
    """The member that the fault's target means now; a busy machine is given time to tell."""
    return resolve(fault.target, fault, await await_healthy(cluster, CLOCK, 60), random.Random(1))[0]


async def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Wait for it, and fail when it does not come about."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.3)


@asynccontextmanager
async def hitting(fault: Injector, cluster: DockerCluster, member: Member | None = None) -> AsyncIterator[Member]:
    """Have the fault in place on its target; it was not found missing meanwhile."""
    member = member or await target_of(fault, cluster)
    async with injected("live", fault, [member], Hands(cluster, CLOCK)) as injection:
        yield member
    assert injection.healed_ns is not None


def host_config(member: Member) -> dict[str, Any]:
    """All limits of the container, as Docker's client shows them."""
    found: dict[str, Any] = json.loads(docker("inspect", "--format", "{{json .HostConfig}}", member.container_id))
    return found


def processes(member: Member, words: str) -> int:
    """How many processes of the member have these words in their command lines, as the engine sees them."""
    return docker("top", member.container_id, "-eo", "pid,args").count(words)


def control_group(member: Member, controller: str) -> Path:
    """The member's control group, as the host has it."""
    root = Path("/sys/fs/cgroup")
    root = root / controller if (root / controller).is_dir() else root
    return next(path for path in root.rglob(f"*{member.container_id}*") if path.is_dir())


def block_limits(member: Member) -> str:
    """What the member's control group says of limits on disks, byte for byte."""
    files = sorted([*control_group(member, "blkio").glob("blkio.throttle.*_device"), *_io_max(member)])
    return "\n".join(f"{file.name}: {file.read_text()}" for file in files)


def _io_max(member: Member) -> list[Path]:
    return list(control_group(member, "blkio").glob("io.max"))


def flush_ms(member: Member, size: int = 1) -> float:
    """Milliseconds that the server takes to write and flush so many bytes of WAL, as its own EXPLAIN tells."""
    told = docker(
        *("exec", "-u", "postgres", member.container_id, "psql", "-XAtqc"),
        f"EXPLAIN (ANALYZE) SELECT pg_logical_emit_message(false, 'live', repeat('x', {size}), true)",
    )
    return float(re.findall(r"Execution Time: ([\d.]+) ms", told)[0])
