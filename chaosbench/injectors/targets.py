"""From the word in a scenario's ``target`` to the one member that is hit.

A role is resolved over a fresh snapshot when the fault is injected, never
before: who leads is only known then. What can be wrong whatever the cluster
looks like is found when the file is checked, by :func:`check_target`.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches

from chaosbench.errors import TargetError
from chaosbench.injectors import Injector
from chaosbench.model.cluster import Member, NodeView, Role, RunState, Snapshot

ROLE_WORDS: dict[str, Role] = {
    "leader": Role.POSTGRES,
    "replica": Role.POSTGRES,
    "etcd": Role.ETCD,
    "pgpool": Role.PGPOOL,
}
"""The words that name a role; everything else is the name of a member or of its container."""

_CANDIDATES: dict[str, Callable[[Snapshot], tuple[Member, ...]]] = {
    "leader": lambda snapshot: snapshot.leaders,
    "replica": lambda snapshot: snapshot.replicas,
    "etcd": lambda snapshot: snapshot.of(Role.ETCD),
    "pgpool": lambda snapshot: snapshot.of(Role.PGPOOL),
}
_OTHER_WORDS = {
    "primary": "leader",
    "master": "leader",
    "standby": "replica",
    "secondary": "replica",
    "follower": "replica",
    "slave": "replica",
    "dcs": "etcd",
    "proxy": "pgpool",
}
_LAB_NAME = re.compile(r"(?:.*[-_])?(pgpool|pg|etcd)\d+")
_LAB_ROLES = {"pg": Role.POSTGRES, "etcd": Role.ETCD, "pgpool": Role.PGPOOL}


def resolve(
    target: str,
    injector: Injector,
    snapshot: Snapshot,
    rng: random.Random,
    containers: Mapping[str, str] | None = None,
) -> Member:
    """The member that ``target`` means in this snapshot.

    rng:         chooses among several members of a role; seed it and the choice repeats
    containers:  container names to ids, so that a target may also be a container's name

    TargetError when nothing answers to the target now, when the injector cannot
    hit what does, or when several nodes claim to lead (no choice is right then).
    """
    by_role = target in ROLE_WORDS
    member = _one_of_role(target, snapshot, rng) if by_role else _named(target, snapshot, containers or {})
    if member.role not in injector.hits:
        raise TargetError(f"{injector.kind} cannot hit {member.name}: {_hits(injector)}")
    return member


def check_target(target: str, injector: type[Injector]) -> str | None:
    """What is wrong with a target whatever cluster it will meet, and what to write instead; None if nothing is.

    A name cannot be known before a cluster is asked. But a word close to a role
    is taken for a slip, unless it looks like a member (a role and a number).
    """
    if not target.strip():
        return f"target is empty: write {_choices(injector)}, or a member's name"
    role = ROLE_WORDS.get(target)
    if role is None and (shape := _LAB_NAME.fullmatch(target)):
        role = _LAB_ROLES[shape[1]]
    if role is not None:
        return None if role in injector.hits else f"{injector.kind} cannot hit {target!r}: {_hits(injector)}"
    meant = _OTHER_WORDS.get(target.lower()) or _closest(target.lower(), ROLE_WORDS)
    return None if meant is None else f"no target {target!r}: did you mean {meant!r}?"


def _one_of_role(word: str, snapshot: Snapshot, rng: random.Random) -> Member:
    candidates = _CANDIDATES[word](snapshot)
    if not candidates:
        raise TargetError(f"there is no {word} now ({_now(snapshot)})")
    if word == "leader" and len(candidates) > 1:
        raise TargetError(f"several nodes claim to lead ({_now(snapshot)}): name the one to hit")
    return rng.choice([member for member in candidates if member.state is RunState.RUNNING] or candidates)


def _named(target: str, snapshot: Snapshot, containers: Mapping[str, str]) -> Member:
    by_id = {member.container_id: member for member in snapshot.members}
    names = {name: by_id[key] for name, key in containers.items() if key in by_id}
    names |= {member.name: member for member in snapshot.members}
    if target in names:
        return names[target]
    if target in containers:
        raise TargetError(f"{target!r} is a job of the lab, not a member: name one of {', '.join(sorted(names))}")
    closest = _closest(target, (*ROLE_WORDS, *names))
    hint = f"; did you mean {closest!r}?" if closest else ""
    members = ", ".join(member.name for member in snapshot.members)
    raise TargetError(
        f"no target {target!r}: the roles are {', '.join(ROLE_WORDS)}; the members {members}{hint}; "
        "chaosbench touches only containers that carry its label"
    )


def _closest(word: str, words: Iterable[str]) -> str | None:
    found = get_close_matches(word, list(words), n=1, cutoff=0.75)
    return found[0] if found else None


def _hits(injector: Injector | type[Injector]) -> str:
    return f"it works on {_choices(injector)}"


def _choices(injector: Injector | type[Injector]) -> str:
    words = [word for word, role in ROLE_WORDS.items() if role in injector.hits]
    return " or ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]


def _now(snapshot: Snapshot) -> str:
    return ", ".join(
        f"{member.name} {_condition(member, snapshot.nodes.get(member.name, NodeView()))}"
        for member in snapshot.members
        if member.role is Role.POSTGRES
    )


def _condition(member: Member, node: NodeView) -> str:
    return node.role or (node.state if member.state is RunState.RUNNING else member.state)
