"""What a scenario's figures were measured with: kept in its summary."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version

import chaosbench
from chaosbench.model.cluster import Snapshot
from chaosbench.scenarios.database import Database


async def environment(database: Database, snapshot: Snapshot) -> dict[str, str]:
    """What the figures were measured with."""
    packages = ("asyncpg", "uvloop", "aiodocker")
    return {
        "chaosbench": chaosbench.__version__,
        "python": platform.python_version(),
        "kernel": platform.release(),
        "cpus": str(os.cpu_count()),
        "scheduled_first": str(os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK == os.SCHED_RR).lower(),
        **{package: version(package) for package in packages},
        **await database.versions(snapshot),
    }
