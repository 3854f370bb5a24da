"""Faults that are certain to undo each other, or to hit more than is allowed, whatever the cluster looks like."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from chaosbench.injectors import Injector
from chaosbench.injectors.selection import Amount, Group, parse
from chaosbench.model.cluster import Role
from chaosbench.model.faults import Permits, conflict
from chaosbench.scenarios.scenario import ScheduledFault
from chaosbench.schedule import Mode

QUORUM = "allow it with 'allow_quorum_loss: true' in the scenario, or hit a minority"
MULTI = "allow it with 'allow_multi: true' in the scenario, or hit one node"


def beyond(fault: ScheduledFault, permits: Permits) -> Iterator[tuple[str, str]]:
    """Targets beyond the blast radius by their words alone; each with its key, and what to write instead."""
    for action in fault.actions:
        injector = action.injector
        if not injector.disables:
            continue
        told = f"{injector.kind} on {injector.target!r}"
        key = "target" if len(fault.actions) == 1 and fault.mode is Mode.CHOOSE else ""
        if not permits.quorum_loss and _takes_quorum(injector):
            yield key, f"{told} takes etcd's quorum away: {QUORUM}"
        if not permits.multi and _takes_nodes(injector):
            yield key, f"{told} disables more than one PostgreSQL node: {MULTI}"


def clashing(faults: list[ScheduledFault], permits: Permits) -> Iterator[tuple[int, str]]:
    """Pairs at fixed times that would undo each other; each with the number of the later one."""
    fixed = [
        (index, fault)
        for index, fault in enumerate(faults)
        if fault.schedule.at is not None and not fault.schedule.conditions and len(fault.actions) == 1
    ]
    for (number, one), (other_number, other) in combinations(fixed, 2):
        first, second = sorted((one, other), key=lambda fault: fault.schedule.at or 0.0)
        ends = (first.schedule.at or 0.0) + first.longest
        begins = second.schedule.at or 0.0
        if begins >= ends and begins != first.schedule.at:
            continue
        injectors = first.actions[0].injector, second.actions[0].injector
        if conflict(injectors[0].touches, injectors[1].touches, same_member=_same_member(*injectors)):
            said = f"fault {second.name!r} comes at {begins:g}s, while {first.name!r} (until {ends:g}s) has hold of"
            yield number if second is one else other_number, f"{said} the same part: {_LATER.format(ends)}"
        elif not permits.multi and all(map(_disables_a_node, injectors)):
            said = f"faults {first.name!r} and {second.name!r} disable two PostgreSQL nodes at {begins:g}s"
            yield number if second is one else other_number, f"{said}: {_LATER.format(ends)}, or write {_ALLOW}"


_LATER = "let the second come after {:g}s"
_ALLOW = "'allow_multi: true' in the scenario"


def _disables_a_node(injector: Injector) -> bool:
    """Whether it is sure to disable a PostgreSQL node: two of these at once are two nodes, or undo each other."""
    roles = {term.role for term in parse(injector.target)}
    return injector.disables and Role.POSTGRES in roles


def _takes_quorum(injector: Injector) -> bool:
    if Role.ETCD not in injector.hits:
        return False
    for term in parse(injector.target):
        all_of_them = term.amount is Amount.ALL and term.group in (Group.ETCD, Group.ANY)
        if all_of_them or term.amount is Amount.MAJORITY:
            return True
    return False


def _takes_nodes(injector: Injector) -> bool:
    if Role.POSTGRES not in injector.hits:
        return False
    sure = 0
    for term in parse(injector.target):
        if term.amount is Amount.ALL and term.group is Group.ANY:
            return True
        if term.group in (Group.LEADER, Group.REPLICA, Group.SYNC_STANDBY) and term.amount is Amount.SOME:
            sure = max(sure, term.count)
    names = {term.name for term in parse(injector.target) if term.group is Group.NAME and term.role is Role.POSTGRES}
    words = {term.group for term in parse(injector.target)}
    both_sides = Group.LEADER in words and words & {Group.REPLICA, Group.SYNC_STANDBY}
    return max(sure, len(names)) > 1 or bool(both_sides)


def _same_member(one: Injector, other: Injector) -> bool:
    """Whether both are sure to hit one member: only names are sure, a role may have moved on by then."""
    named = [{term.name for term in parse(each.target) if term.group is Group.NAME} for each in (one, other)]
    return bool(named[0] & named[1])
