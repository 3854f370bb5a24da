"""What a scenario's figures were measured with: kept in its summary."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version

import chaosbench
from chaosbench.cluster import Cluster
from chaosbench.errors import ClusterUnavailable
from chaosbench.model.cluster import Snapshot
from chaosbench.scenarios.database import Database


async def environment(cluster: Cluster, database: Database, snapshot: Snapshot) -> dict[str, str]:
    """What the figures were measured with: versions, then settings by dotted name. What is silent is left out."""
    packages = ("asyncpg", "uvloop", "aiodocker")
    return {
        "chaosbench": chaosbench.__version__,
        "python": platform.python_version(),
        "kernel": platform.release(),
        "cpus": str(os.cpu_count()),
        "scheduled_first": str(os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK == os.SCHED_RR).lower(),
        **{package: version(package) for package in packages},
        **await database.versions(snapshot),
        **await _settings(cluster),
    }


async def _settings(cluster: Cluster) -> dict[str, str]:
    try:
        return dict(await cluster.settings())
    except ClusterUnavailable:
        return {}  # the engine is gone: what was measured is kept all the same
