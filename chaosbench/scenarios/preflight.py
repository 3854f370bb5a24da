"""What is checked before a run, or a scenario of it, touches anything."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from chaosbench.cluster import Cluster
from chaosbench.errors import PreflightError
from chaosbench.injectors import Injector
from chaosbench.injectors.selection import Amount, Group, Term, parse
from chaosbench.injectors.targets import resolve
from chaosbench.model.cluster import Role, Snapshot
from chaosbench.model.faults import Need, Permits
from chaosbench.scenarios.scenario import Scenario

SPARE_CONNECTIONS = 8
"""Pgpool connections kept free for looking at it."""


async def require_faults(scenarios: Sequence[Scenario], cluster: Cluster) -> None:
    """Whatever can be known of the faults now: names, needs, and whether the lab is large enough for them.

    Who a role is will be seen when the fault is injected; a name must be there
    now, or TargetError is raised. PreflightError names every fault whose needs
    are missing, and why.
    """
    snapshot, containers = await cluster.snapshot(), await cluster.containers()
    for _, _, injector in _injectors(scenarios):
        if any(term.group is Group.NAME for term in parse(injector.target)):
            resolve(injector.target, injector, snapshot, random.Random(0), containers)  # noqa: S311 - only whether
    await _require_needs(scenarios, cluster)
    for scenario, name, injector in _injectors(scenarios):
        problem = _beyond_the_lab(injector, snapshot, scenario.permits)
        if problem is not None:
            raise PreflightError(f"scenario {scenario.name}, fault {name} ({injector.kind}): {problem}")


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


async def _require_needs(scenarios: Sequence[Scenario], cluster: Cluster) -> None:
    """Ask for every need once, in one order; all that is missing is told at once."""
    wanted = {need for _, _, injector in _injectors(scenarios) for need in injector.needs}
    lacks: dict[Need, str] = {}
    for need in sorted(wanted):
        reason = await cluster.lacks(need)
        if reason is not None:
            lacks[need] = reason
    lines = [
        f"fault {name} ({injector.kind}) needs {need}: {lacks[need]}"
        for _, name, injector in _injectors(scenarios)
        for need in sorted(injector.needs & lacks.keys())
    ]
    if lines:
        raise PreflightError("; ".join(dict.fromkeys(lines)))


def _injectors(scenarios: Sequence[Scenario]) -> Iterator[tuple[Scenario, str, Injector]]:
    for scenario in scenarios:
        for fault in scenario.faults:
            for action in fault.actions:
                yield scenario, fault.name, action.injector


def _beyond_the_lab(injector: Injector, snapshot: Snapshot, permits: Permits) -> str | None:
    """Whether the target asks for more members than there are, or certainly disables more than is allowed."""
    least: dict[Role, int] = {}
    for term in parse(injector.target):
        role = term.role
        if term.group is Group.NAME:
            member = snapshot.member(term.name)
            role = member.role if member else None
        for each in injector.hits if term.group is Group.ANY and term.amount is Amount.ALL else (role,):
            if each is None:
                continue
            there = len(snapshot.of(each)) - (term.group in (Group.REPLICA, Group.SYNC_STANDBY))
            wanted = _wanted(term, there)
            if wanted > there or wanted == 0:
                return f"target {injector.target!r} wants {wanted or 'a minority'} of {there} {term.group} in this lab"
            least[each] = least.get(each, 0) + 1 if term.group is Group.NAME else max(least.get(each, 0), wanted)
    if not injector.disables:
        return None
    etcds, minority = least.get(Role.ETCD, 0), (len(snapshot.of(Role.ETCD)) - 1) // 2
    if etcds > minority and not permits.quorum_loss:
        return (
            f"{injector.target!r} is {etcds} of {len(snapshot.of(Role.ETCD))} etcd, more than a minority: write "
            "'allow_quorum_loss: true' in the scenario, or use a lab with more etcd members"
        )
    if least.get(Role.POSTGRES, 0) > 1 and not permits.multi:
        return f"{injector.target!r} is more than one PostgreSQL node: write 'allow_multi: true' in the scenario"
    return None


def _wanted(term: Term, there: int) -> int:
    match term.amount:
        case Amount.ALL:
            return there
        case Amount.MAJORITY:
            return there // 2 + 1
        case Amount.MINORITY:
            return (there - 1) // 2
        case Amount.SOME:
            return term.count
