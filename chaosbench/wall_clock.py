"""Watches the wall clock for steps: no measure depends on it, but whoever compares dates must know of them.

The kernel steers CLOCK_MONOTONIC and the wall clock together as NTP asks, so
their difference stays the same until somebody sets the wall clock, or the
machine sleeps.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from chaosbench.clock import NS, Anchor, Clock

LOOK_S = 2.0
STEP_S = 0.1
"""A difference that changed by so much is a step."""
_APART_NS = NS // 100
"""Two clocks that could not be read within this cannot be compared."""


@dataclass(frozen=True, slots=True)
class Step:
    """The wall clock jumped by ``by_s`` seconds, and is now ``offset_s`` ahead of the run's own dates."""

    by_s: float
    offset_s: float


class WallClock:
    """Holds the wall clock to the run's anchor.

    wall_ns:  reads it, in nanoseconds since the epoch
    """

    def __init__(self, clock: Clock, anchor: Anchor, wall_ns: Callable[[], int] = time.time_ns) -> None:
        self._clock = clock
        self._anchor = anchor
        self._wall_ns = wall_ns
        self._offset_s = 0.0

    def look(self) -> Step | None:
        """The step since the last look, if there was one."""
        before_ns = self._clock.now()
        wall_ns = self._wall_ns()
        after_ns = self._clock.now()
        if after_ns - before_ns > _APART_NS:
            return None
        offset_s = (self._anchor.monotonic(wall_ns) - (before_ns + after_ns) // 2) / NS
        by_s = offset_s - self._offset_s
        if abs(by_s) < STEP_S:
            return None
        self._offset_s = offset_s
        return Step(round(by_s, 3), round(offset_s, 3))

    async def watch(self, tell: Callable[[Step], None]) -> None:
        """Look until cancelled, and tell of each step."""
        while True:
            step = self.look()
            if step is not None:
                tell(step)
            await self._clock.sleep(LOOK_S)


def stamp(wall_ns: int, heard_ns: int, clock: Clock, anchor: Anchor) -> int:
    """The run's stamp of something that another program dated by the wall clock, and that was heard just now.

    By the run's anchor, unless that puts it a second or more away from when it
    was heard: then the wall clock may have been set, and it goes by how the two
    clocks stand now.
    """
    at_ns = anchor.monotonic(wall_ns)
    return at_ns if abs(at_ns - heard_ns) < NS else clock.anchor().monotonic(wall_ns)
