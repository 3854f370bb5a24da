"""The words of a ``target``, taken apart. Pure: no cluster is asked here.

A target is one or several of these, with commas between them::

    leader                     the node that leads
    replica · 2 replicas · all replicas
    sync standby · all sync standbys
    etcd · 2 etcds · all etcd · etcd leader · etcd minority · etcd majority
    pgpool · all pgpools
    random · all               any one member, every member
    pg1                        a member's name, or its container's
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum

from chaosbench.model.cluster import Role


class Group(StrEnum):
    """Whom a word means."""

    LEADER = "leader"
    REPLICA = "replica"
    SYNC_STANDBY = "sync standby"
    ETCD = "etcd"
    ETCD_LEADER = "etcd leader"
    PGPOOL = "pgpool"
    ANY = "any"  # whatever the injector can hit
    NAME = "name"


class Amount(StrEnum):
    """How many of them."""

    SOME = "some"  # a number
    ALL = "all"
    MINORITY = "minority"  # the most that leave a majority
    MAJORITY = "majority"


ROLES: dict[Group, Role] = {
    Group.LEADER: Role.POSTGRES,
    Group.REPLICA: Role.POSTGRES,
    Group.SYNC_STANDBY: Role.POSTGRES,
    Group.ETCD: Role.ETCD,
    Group.ETCD_LEADER: Role.ETCD,
    Group.PGPOOL: Role.PGPOOL,
}
"""The role that a group belongs to; ``ANY`` and ``NAME`` have none."""


@dataclass(frozen=True, slots=True)
class Term:
    """One part of a target. ``name`` only for ``NAME``; ``count`` only for ``SOME``."""

    group: Group
    amount: Amount = Amount.SOME
    count: int = 1
    name: str = ""

    @property
    def role(self) -> Role | None:
        """The role that it is sure to have; None when only a cluster can tell."""
        if self.group is not Group.NAME:
            return ROLES.get(self.group)
        shape = _LAB_NAME.fullmatch(self.name)
        return _LAB_ROLES[shape[1]] if shape else None

    @property
    def several(self) -> bool:
        """Whether it may mean more than one member."""
        return self.amount is not Amount.SOME or self.count > 1


FORMS: dict[str, Term] = {
    "leader": Term(Group.LEADER),
    "replica": Term(Group.REPLICA),
    "2 replicas": Term(Group.REPLICA, count=2),
    "all replicas": Term(Group.REPLICA, Amount.ALL),
    "sync standby": Term(Group.SYNC_STANDBY),
    "etcd": Term(Group.ETCD),
    "etcd leader": Term(Group.ETCD_LEADER),
    "etcd minority": Term(Group.ETCD, Amount.MINORITY),
    "etcd majority": Term(Group.ETCD, Amount.MAJORITY),
    "all etcd": Term(Group.ETCD, Amount.ALL),
    "pgpool": Term(Group.PGPOOL),
    "all pgpools": Term(Group.PGPOOL, Amount.ALL),
    "random": Term(Group.ANY),
    "all": Term(Group.ANY, Amount.ALL),
}
"""Every form that is no name. The page on scenarios lists these; other numbers go where the 2 stands."""

_COUNTED = {
    "replica": Group.REPLICA,
    "replicas": Group.REPLICA,
    "sync standby": Group.SYNC_STANDBY,
    "sync standbys": Group.SYNC_STANDBY,
    "etcd": Group.ETCD,
    "etcds": Group.ETCD,
    "pgpool": Group.PGPOOL,
    "pgpools": Group.PGPOOL,
}
_NUMBER = re.compile(r"(all|\d{1,3}) (\S.*)")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_LAB_NAME = re.compile(r"(?:.*[-_])?(pgpool|pg|etcd)\d+")
_LAB_ROLES = {"pg": Role.POSTGRES, "etcd": Role.ETCD, "pgpool": Role.PGPOOL}
_OTHER_WORDS = {
    "primary": "leader",
    "master": "leader",
    "standby": "replica",
    "secondary": "replica",
    "follower": "replica",
    "slave": "replica",
    "standbys": "all replicas",
    "followers": "all replicas",
    "replicas": "all replicas",
    "etcds": "all etcd",
    "pgpools": "all pgpools",
    "synchronous standby": "sync standby",
    "dcs": "etcd",
    "proxy": "pgpool",
    "any": "random",
    "everything": "all",
}


def parse(target: str) -> tuple[Term, ...]:
    """The parts of a target. ValueError, with what to write instead, for one that cannot mean anything.

    A word that is close to one of the forms is taken for a slip, unless it
    looks like a member (a role and a number).
    """
    words = [" ".join(word.split()) for word in target.split(",")]
    if words == [""]:
        raise ValueError("target is empty")
    if "" in words:
        raise ValueError(f"target {target!r} has a comma too many")
    terms = tuple(_term(word) for word in words)
    for index, term in enumerate(terms):
        if term in terms[:index]:
            raise ValueError(f"target {words[index]!r} stands there twice; keep one")
    return terms


def closest(word: str, words: Iterable[str]) -> str | None:
    """The one of ``words`` that was probably meant, if any."""
    found = get_close_matches(word, list(words), n=1, cutoff=0.75)
    return found[0] if found else None


def _term(word: str) -> Term:
    if word in FORMS:
        return FORMS[word]
    counted = _NUMBER.fullmatch(word)
    if counted is not None:
        return _counted(word, counted[1], counted[2])
    meant = _OTHER_WORDS.get(word.lower())
    if meant is None and not _LAB_NAME.fullmatch(word):
        meant = closest(word.lower(), FORMS)
    if meant is not None:
        raise ValueError(f"no target {word!r}: did you mean {meant!r}?")
    if not _PLAIN_NAME.fullmatch(word):
        raise ValueError(f"no target {word!r}: write one of {', '.join(FORMS)}, or a member's name")
    return Term(Group.NAME, name=word)


def _counted(word: str, number: str, noun: str) -> Term:
    group = _COUNTED.get(noun)
    if group is None:
        meant = closest(noun, _COUNTED)
        hint = f"did you mean '{number} {meant}'?" if meant else f"what can be counted is {', '.join(_COUNTED)}"
        raise ValueError(f"no target {word!r}: {hint}")
    if number == "all":
        return Term(group, Amount.ALL)
    if int(number) == 0:
        raise ValueError(f"no target {word!r}: hit at least 1")
    return Term(group, count=int(number))
