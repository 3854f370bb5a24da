"""What the container engine says it did, by its own clock: a second opinion on when a fault took place."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing

from chaosbench.clock import Anchor, Clock
from chaosbench.cluster import Cluster
from chaosbench.model.observation import EngineEvent
from chaosbench.wall_clock import stamp

SOURCE = "engine"
ACTIONS = frozenset({"kill", "die", "start", "pause", "unpause", "stop", "restart"})
_AGAIN_S = 0.5


class ContainerEvents:
    """Follows the engine's stream, and opens another one when it ends; :meth:`run` ends only when cancelled."""

    def __init__(self, cluster: Cluster, clock: Clock, anchor: Anchor, heard: Callable[[EngineEvent], None]) -> None:
        self._cluster = cluster
        self._clock = clock
        self._anchor = anchor
        self._heard = heard

    async def run(self) -> None:
        """Listen until cancelled."""
        while True:
            async with aclosing(self._cluster.happenings()) as happenings:
                async for happening in happenings:
                    if happening.action in ACTIONS:
                        now_ns = self._clock.now()
                        engine_ns = stamp(happening.wall_ns, now_ns, self._clock, self._anchor)
                        self._heard(EngineEvent(now_ns, engine_ns, happening.member, happening.action))
            await self._clock.sleep(_AGAIN_S)
