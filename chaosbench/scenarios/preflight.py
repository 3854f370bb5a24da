"""What is checked before a run, or a scenario of it, touches anything."""

from __future__ import annotations

import random
from collections.abc import Sequence

from chaosbench.cluster import Cluster
from chaosbench.errors import PreflightError
from chaosbench.injectors.targets import ROLE_WORDS, resolve
from chaosbench.scenarios.scenario import Scenario

SPARE_CONNECTIONS = 4
"""Pgpool connections kept free for looking at it."""


async def require_targets(scenarios: Sequence[Scenario], cluster: Cluster) -> None:
    """Who a role is will be seen when the fault is injected; a name must be there now, or TargetError is raised."""
    snapshot = await cluster.snapshot()
    containers = await cluster.containers()
    for fault in (fault for scenario in scenarios for fault in scenario.faults):
        if fault.injector.target not in ROLE_WORDS:
            resolve(fault.injector.target, fault.injector, snapshot, random.Random(0), containers)  # noqa: S311


async def require_room(scenario: Scenario, cluster: Cluster) -> None:
    """Pgpool must have room for every client, or PreflightError is raised.

    It makes those beyond ``num_init_children`` wait, or refuses them.
    """
    settings = await cluster.proxy_settings()
    children, reserved = int(settings["num_init_children"]), int(settings.get("reserved_connections", 0))
    room = children - reserved
    if scenario.connections + SPARE_CONNECTIONS > room:
        raise PreflightError(
            f"scenario {scenario.name} wants {scenario.connections} connections, but Pgpool has room for "
            f"{room - SPARE_CONNECTIONS} (num_init_children {children}, reserved_connections {reserved}, "
            f"{SPARE_CONNECTIONS} kept for chaosbench): "
            "lower 'connections' or 'clients', or raise PGPOOL_NUM_INIT_CHILDREN in infra/.env"
        )
