"""Waiting until a cluster is whole."""

from __future__ import annotations

from collections.abc import Callable

from chaosbench.clock import Clock, to_ns
from chaosbench.cluster import Cluster
from chaosbench.errors import ClusterUnavailable
from chaosbench.model.cluster import Snapshot

POLL_S = 0.5
PATIENCE_S = 5.0
"""Given to each part: on a machine with much to do Pgpool, which asks every backend first, takes its time."""
CLEAN = 2
"""Healthy snapshots in a row that are believed; one alone may fall between two changes."""


async def await_healthy(
    cluster: Cluster,
    clock: Clock,
    timeout: float,
    on_progress: Callable[[tuple[str, ...]], None] = lambda problems: None,
) -> Snapshot:
    """Wait until the cluster has no problems, and return its snapshot.

    timeout:      seconds; then ClusterUnavailable with the problems that are left
    on_progress:  called with the problems whenever they change, last with none
    """
    deadline = clock.now() + to_ns(timeout)
    clean = 0
    told: tuple[str, ...] | None = None
    while True:
        snapshot = await cluster.snapshot(PATIENCE_S)
        problems = snapshot.problems()
        if problems != told:
            on_progress(problems)
            told = problems
        clean = 0 if problems else clean + 1
        if clean == CLEAN:
            return snapshot
        if clock.now() >= deadline:
            left = "; ".join(problems) or "it was not seen healthy twice in a row"
            raise ClusterUnavailable(f"the cluster is not healthy after {timeout:g} s: {left}")
        await clock.sleep(POLL_S)
