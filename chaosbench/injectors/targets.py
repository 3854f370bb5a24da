"""From the words of a scenario's ``target`` to the members that are hit.

Roles are resolved over a fresh snapshot when the fault is injected, never
before: who leads is only known then. What can be wrong whatever the cluster
looks like is found when the file is checked, by :func:`check_target`.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping
from typing import Annotated

from pydantic import BeforeValidator

from chaosbench.errors import TargetError
from chaosbench.injectors import Injector
from chaosbench.injectors.selection import FORMS, Amount, Group, Term, closest, parse
from chaosbench.model.cluster import Member, NodeView, Role, RunState, Snapshot

EVERYTHING = frozenset(Role)


def _written(value: object) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else value
    if not isinstance(text, str):
        raise ValueError(f"write a target, as in leader, not {value!r}")  # noqa: TRY004 - pydantic wants ValueError
    parse(text)
    return text


Peers = Annotated[str, BeforeValidator(_written)]
"""An injector's key whose words are those of a target, or a YAML list of them: the other side of a partition, say."""


def resolve(
    target: str,
    injector: Injector | type[Injector],
    snapshot: Snapshot,
    rng: random.Random,
    containers: Mapping[str, str] | None = None,
) -> tuple[Member, ...]:
    """The members that ``target`` means in this snapshot, by name; at least one.

    rng:         chooses among several members of a role; seed it and the choice repeats
    containers:  container names to ids, so that a target may also be a container's name

    TargetError when nothing answers to the target now, when the injector cannot
    hit what does, or when several nodes claim to lead (no choice is right then).
    """
    members = resolve_all(target, snapshot, rng, injector.hits, containers)
    for member in members:
        if member.role not in injector.hits:
            raise TargetError(f"{injector.kind} cannot hit {member.name}: {_hits(injector)}")
    return members


def resolve_all(
    target: str,
    snapshot: Snapshot,
    rng: random.Random,
    hits: Collection[Role] = EVERYTHING,
    containers: Mapping[str, str] | None = None,
) -> tuple[Member, ...]:
    """The members that the words mean, whoever is to act on them; see :func:`resolve`.

    hits:  the roles among which ``random`` and ``all`` choose
    """
    found: dict[str, Member] = {}
    for term in _parsed(target):
        if term.group is Group.NAME:
            chosen: tuple[Member, ...] = (_named(term.name, snapshot, containers or {}),)
        else:
            chosen = _chosen(term, _candidates(term.group, snapshot, hits), snapshot, rng)
        found |= {member.name: member for member in chosen}
    return tuple(found[name] for name in sorted(found))


def peers(target: str, snapshot: Snapshot, member: Member, rng: random.Random | None = None) -> tuple[Member, ...]:
    """The other side of a fault on ``member``: whom the words mean, ``member`` itself left out; at least one.

    ``all replicas`` here takes in every node that does not lead, also one whose
    Patroni is silent now: a cut must not have a hole. Without an ``rng`` the
    choice follows from the words alone, so all members of one fault get the same.
    """
    rng = rng or random.Random(target)  # noqa: S311 - not for secrets
    found: dict[str, Member] = {}
    for term in _parsed(target):
        if term.group is Group.REPLICA and term.amount is Amount.ALL:
            leaders = {leader.name for leader in snapshot.leaders}
            chosen = tuple(node for node in snapshot.of(Role.POSTGRES) if node.name not in leaders)
        elif term.amount is Amount.ALL and term.group is not Group.SYNC_STANDBY:
            chosen = _candidates(term.group, snapshot, EVERYTHING)
        elif term.group is Group.NAME:
            chosen = (_named(term.name, snapshot, {}),)
        else:
            others = tuple(one for one in _candidates(term.group, snapshot, EVERYTHING) if one.name != member.name)
            chosen = _chosen(term, others, snapshot, rng)
        found |= {one.name: one for one in chosen if one.name != member.name}
    if not found:
        raise TargetError(f"{target!r} is nobody but {member.name} itself: name its peers ({_members(snapshot)})")
    return tuple(found[name] for name in sorted(found))


def check_target(target: str, injector: type[Injector]) -> str | None:
    """What is wrong with a target whatever cluster it will meet, and what to write instead; None if nothing is.

    A name cannot be known before a cluster is asked.
    """
    if not target.strip():
        return f"target is empty: write {_choices(injector)}, or a member's name"
    try:
        terms = parse(target)
    except ValueError as error:
        return str(error)
    for term in terms:
        if term.role is not None and term.role not in injector.hits:
            return f"{injector.kind} cannot hit {target!r}: {_hits(injector)}"
    return None


def _parsed(target: str) -> tuple[Term, ...]:
    try:
        return parse(target)
    except ValueError as error:
        raise TargetError(str(error)) from None


def _candidates(group: Group, snapshot: Snapshot, hits: Collection[Role]) -> tuple[Member, ...]:
    match group:
        case Group.LEADER:
            return snapshot.leaders
        case Group.REPLICA:
            return snapshot.replicas
        case Group.SYNC_STANDBY:
            return snapshot.sync_standbys
        case Group.ETCD:
            return snapshot.of(Role.ETCD)
        case Group.ETCD_LEADER:
            return tuple(member for member in snapshot.of(Role.ETCD) if member.name == snapshot.etcd_leader)
        case Group.PGPOOL:
            return snapshot.of(Role.PGPOOL)
        case _:
            return tuple(sorted((m for m in snapshot.members if m.role in hits), key=lambda m: m.name))


def _chosen(term: Term, candidates: tuple[Member, ...], snapshot: Snapshot, rng: random.Random) -> tuple[Member, ...]:
    """Those that run come first; one that is down is only chosen where nothing else is left."""
    running = tuple(member for member in candidates if member.state is RunState.RUNNING)
    if not candidates:
        raise TargetError(f"there is no {term.group} now ({_now(snapshot)}){_advice(term)}")
    if term.group is Group.LEADER and len(candidates) > 1:
        raise TargetError(f"several nodes claim to lead ({_now(snapshot)}): name the one to hit")
    if term.amount is Amount.ALL:
        return running or candidates
    count = _count(term, len(candidates))
    pool = running if len(running) >= count else candidates
    if len(pool) < count:
        raise TargetError(
            f"there are {len(pool)} of {term.group} now, not {count} ({_now(snapshot)}): write 'all' or less"
        )
    return tuple(rng.sample(pool, count)) if count > 1 else (rng.choice(pool),)


def _count(term: Term, total: int) -> int:
    if term.amount is Amount.MAJORITY:
        return total // 2 + 1
    if term.amount is Amount.MINORITY:
        if total < 3:
            raise TargetError(f"a minority of {total} etcd is none: write 'etcd', or use a lab with three etcd members")
        return (total - 1) // 2
    return term.count


def _advice(term: Term) -> str:
    if term.group is Group.SYNC_STANDBY:
        return ": turn Patroni's synchronous_mode on, or write 'replica'"
    return ": no etcd member that answers leads" if term.group is Group.ETCD_LEADER else ""


def _named(target: str, snapshot: Snapshot, containers: Mapping[str, str]) -> Member:
    by_id = {member.container_id: member for member in snapshot.members}
    names = {name: by_id[key] for name, key in containers.items() if key in by_id}
    names |= {member.name: member for member in snapshot.members}
    if target in names:
        return names[target]
    if target in containers:
        raise TargetError(f"{target!r} is a job of the lab, not a member: name one of {', '.join(sorted(names))}")
    near = closest(target, (*FORMS, *names))
    hint = f"; did you mean {near!r}?" if near else ""
    raise TargetError(
        f"no target {target!r}: the roles are {', '.join(FORMS)}; the members {_members(snapshot)}{hint}; "
        "chaosbench touches only containers that carry its label"
    )


def _members(snapshot: Snapshot) -> str:
    return ", ".join(member.name for member in snapshot.members)


def _hits(injector: Injector | type[Injector]) -> str:
    return f"it works on {_choices(injector)}"


_EACH = {Role.POSTGRES: ("leader", "replica"), Role.ETCD: ("etcd",), Role.PGPOOL: ("pgpool",)}


def _choices(injector: Injector | type[Injector]) -> str:
    words = [word for role in Role if role in injector.hits for word in _EACH[role]]
    return " or ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]


def _now(snapshot: Snapshot) -> str:
    return ", ".join(
        f"{member.name} {_condition(member, snapshot.nodes.get(member.name, NodeView()))}"
        for member in snapshot.members
        if member.role is Role.POSTGRES
    )


def _condition(member: Member, node: NodeView) -> str:
    return node.role or (node.state if member.state is RunState.RUNNING else member.state)
