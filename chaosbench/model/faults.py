"""What can be said of a fault whatever its settings: what it needs, what it touches, which others it cannot stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

Before = Mapping[str, Any]
"""A member's state before a fault, as far as healing needs it. JSON values only: it goes into the journal."""

NOTHING: Before = {}
"""Healing this fault needs nothing but its settings."""


class Need(StrEnum):
    """What a fault asks of the machine and of the lab. Each is probed before a run (``cluster/capabilities.py``)."""

    HELPER = "helper"  # the image for helper containers, with rights over a member's network namespace
    NETEM = "netem"  # the kernel's network emulator, sch_netem
    TBF = "tbf"  # the kernel's token bucket filter, sch_tbf
    SOCKET_DESTROY = "socket-destroy"  # the kernel closes sockets when it is asked to
    PTRACE = "ptrace"  # a helper may trace a member's processes
    CGROUP_IO = "cgroup-io"  # the kernel's limits on block devices, for a running container
    OWN_DISK = "own-disk"  # the member's data lie on a file system of their own, not on the host's
    OWN_CLOCK = "own-clock"  # the member's processes take their time from libfaketime
    SYNCHRONOUS = "synchronous"  # a synchronous standby
    QUORUM = "quorum"  # three or more etcd members


class Part(StrEnum):
    """The part of a member that a fault takes hold of."""

    CONTAINER = "container"  # whether it runs; a restart discards its namespaces and processes
    PROCESSES = "processes"
    RULES = "rules"  # packet filter rules, each with its own mark: several get along
    QDISC = "qdisc"  # the one queueing discipline of its interface
    ENDPOINT = "endpoint"  # its connection to the lab's network
    CPU = "cpu"
    MEMORY = "memory"
    IO = "io"
    DISK = "disk"
    SESSIONS = "sessions"  # its SQL sessions
    SETTINGS = "settings"  # of the cluster as a whole: Patroni's dynamic configuration, Pgpool's view
    CLOCK = "clock"
    OTHER = "other"  # only the user knows: a command of their own


@dataclass(frozen=True, slots=True, kw_only=True)
class Permits:
    """What a scenario allows its faults beyond the usual blast radius.

    quorum_loss:  more than a minority of etcd disabled at a time
    multi:        more than one PostgreSQL node disabled at a time
    """

    quorum_loss: bool = False
    multi: bool = False


_WHOLE_CLUSTER = frozenset({Part.SETTINGS})
"""One of these is enough for all members."""

_ALONE = frozenset({Part.PROCESSES, Part.QDISC, Part.ENDPOINT, Part.CPU, Part.MEMORY, Part.IO, Part.DISK, Part.CLOCK})
"""Two of one kind on one member would undo each other."""


def conflict(one: Part, other: Part, *, same_member: bool) -> bool:
    """Whether two faults that are in place at the same time would undo each other.

    A container that is killed, stopped, restarted or thawed takes every other
    fault on it along, and one that is frozen lets none be put on it.
    """
    if one is other and one in _WHOLE_CLUSTER:
        return True
    if not same_member:
        return False
    if Part.CONTAINER in (one, other):
        return True
    if {one, other} == {Part.ENDPOINT, Part.RULES} or {one, other} == {Part.ENDPOINT, Part.QDISC}:
        return True  # a new endpoint has a new interface and may have a new address
    return one is other and one in _ALONE


def outlives_container(part: Part) -> bool:
    """Whether such a fault is still there when the member's container was removed and made anew."""
    return part in (Part.SETTINGS, Part.DISK, Part.OTHER)
