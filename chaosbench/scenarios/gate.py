"""Who may be hit now: targets resolved, checked against what is in place, and reserved until they are healed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from chaosbench.cluster import Cluster
from chaosbench.errors import InjectionError
from chaosbench.injectors import Injector
from chaosbench.injectors.blast import excess
from chaosbench.injectors.targets import resolve
from chaosbench.model.cluster import Member, Snapshot
from chaosbench.model.faults import Permits, conflict


@dataclass(frozen=True, slots=True)
class Admission:
    """A fault that may be injected, on these members, which are reserved for it."""

    snapshot: Snapshot
    members: tuple[Member, ...]


class Refused(InjectionError):
    """A fault that may not be injected now: it does not get along with another, or too much is down."""


@dataclass(frozen=True, slots=True)
class _Held:
    injector: Injector
    members: tuple[Member, ...]


class Gate:
    """Knows the faults that are in place, from their admission until :meth:`leave`."""

    def __init__(self, cluster: Cluster, permits: Permits) -> None:
        self._cluster = cluster
        self._permits = permits
        self._held: dict[str, _Held] = {}

    async def enter(self, name: str, injector: Injector, rng: random.Random) -> Admission:
        """Resolve over a fresh snapshot. Raises Refused; TargetError and ClusterUnavailable as well.

        Between the last answer of the cluster and the reservation nothing is awaited, so that of two faults
        that come at once the second sees the first.
        """
        snapshot, containers = await self._cluster.snapshot(), await self._cluster.containers()
        members = resolve(injector.target, injector, snapshot, rng, containers)
        reason = self._conflict(injector, members) or self._excess(injector, members, snapshot)
        if reason is not None:
            raise Refused(reason)
        self._held[name] = _Held(injector, members)
        return Admission(snapshot, members)

    def leave(self, name: str) -> None:
        """The fault is healed, or was never put in place."""
        self._held.pop(name, None)

    def _conflict(self, injector: Injector, members: Sequence[Member]) -> str | None:
        mine = {member.name for member in members}
        for name, held in self._held.items():
            common = sorted(mine & {member.name for member in held.members})
            if conflict(injector.touches, held.injector.touches, same_member=bool(common)):
                where = f" on {', '.join(common)}" if common else ""
                return f"{injector.kind} and {name} ({held.injector.kind}) would undo each other{where}"
        return None

    def _excess(self, injector: Injector, members: Sequence[Member], snapshot: Snapshot) -> str | None:
        disabled = {member.name for held in self._held.values() if held.injector.disables for member in held.members}
        return excess(injector, members, snapshot, disabled, self._permits)
