"""What holds back the next fault: the cool-down after the last one, and the scenario's budget."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable

from chaosbench.clock import NS, Clock, to_ns
from chaosbench.cluster import Cluster
from chaosbench.errors import ClusterUnavailable
from chaosbench.units import Budget

LOOK_S = 0.5
"""How often is looked whether the cluster is whole after a fault."""


class Limits:
    """Told of each fault that comes and goes; :meth:`holds` says why the next one may not come yet.

    ``lock`` is held from that question to the answer being acted upon, so that of two faults that come at once
    the second sees the first.
    """

    def __init__(self, cool_down: float, budget: Budget | None, cluster: Cluster, clock: Clock) -> None:
        self._cool_down = cool_down
        self._budget = budget
        self._cluster = cluster
        self._clock = clock
        self._in_place: set[str] = set()
        self._whole_ns: int | None = clock.now() - to_ns(cool_down)
        self._injected: deque[int] = deque(maxlen=budget.count if budget else 0)
        self.lock = asyncio.Lock()

    def remember(self, injected_ns: Iterable[int]) -> None:
        """Faults that came before: the budget counts them."""
        self._injected.extend(sorted(injected_ns))

    async def holds(self) -> str | None:
        """Why no fault may come now; None when one may."""
        if self._cool_down and self._whole_ns is None and not self._in_place:
            await self._look()
        now_ns = self._clock.now()
        return self._over_budget(now_ns) or (self._cooling(now_ns) if self._cool_down else None)

    def came(self, name: str) -> None:
        """A fault is let in."""
        self._in_place.add(name)
        self._injected.append(self._clock.now())
        self._whole_ns = None

    def went(self, name: str) -> None:
        """It is healed, or could not be put in place."""
        self._in_place.discard(name)

    async def recovered(self, until_ns: int) -> None:
        """Wait until the cluster is whole after the fault, the next one comes, or that time: the cool-down counts."""
        while self._cool_down and self._whole_ns is None and not self._in_place and self._clock.now() < until_ns:
            await self._look()
            await self._clock.sleep(LOOK_S)

    def _over_budget(self, now_ns: int) -> str | None:
        budget = self._budget
        if budget is None or len(self._injected) < budget.count:
            return None
        left_ns = self._injected[0] + to_ns(budget.seconds) - now_ns
        return f"the budget of {budget} is used up for {left_ns / NS:.0f} s" if left_ns > 0 else None

    def _cooling(self, now_ns: int) -> str | None:
        if self._in_place:
            return f"the cool-down: {', '.join(sorted(self._in_place))} must be over first"
        if self._whole_ns is None:
            return "the cool-down: the cluster must be whole first"
        left_ns = self._whole_ns + to_ns(self._cool_down) - now_ns
        return f"the cool-down: {left_ns / NS:.0f} s are left" if left_ns > 0 else None

    async def _look(self) -> None:
        asked_ns = self._clock.now()
        try:
            problems = (await self._cluster.snapshot()).problems()
        except ClusterUnavailable:
            return
        if not problems and not self._in_place:
            self._whole_ns = asked_ns
