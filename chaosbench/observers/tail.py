"""The load's p99, second by second: when was it back to what it is on a good day?"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

from chaosbench.clock import Clock
from chaosbench.histogram import Histogram, merged
from chaosbench.recorder.recorder import Recorder

SOURCE = "tail"
FACTOR = 2.0
"""Back to normal: p99 within so many times the steady state's."""

SECONDS = 3
"""... for so many seconds in a row."""

_LEAST = 20
"""Seconds with fewer acknowledged operations have no p99 worth the name."""

_KEPT = 7200


@dataclass(frozen=True, slots=True)
class Second:
    """One second of load, ended at ``at_ns``: p99 of the response times of what was acknowledged in it."""

    from_ns: int
    at_ns: int
    p99_ms: float | None


class Tail:
    """Follows a recorder. ``steady_ms`` is the p99 before the first fault; None when there was too little load."""

    def __init__(self, clock: Clock, recorder: Recorder) -> None:
        self._clock = clock
        self._recorder = recorder
        self._seconds: deque[Second] = deque(maxlen=_KEPT)
        self.steady_ms: float | None = None

    async def run(self) -> None:
        """Look once a second until cancelled."""
        before, from_ns = self._look(), self._clock.now()
        while True:
            await self._clock.sleep(1.0)
            now, at_ns = self._look(), self._clock.now()
            self._seconds.append(Second(from_ns, at_ns, _p99(now.since(before))))
            before, from_ns = now, at_ns

    def fault(self) -> None:
        """The first fault is about to be injected: what was so far is the steady state."""
        if self.steady_ms is None:
            self.steady_ms = _p99(self._look())

    def back_ns(self, since_ns: int) -> int | None:
        """From when on p99 was within ``FACTOR`` of the steady state again; None when it was not seen to be."""
        if self.steady_ms is None:
            return None
        good: list[Second] = []
        for second in self._seconds:
            if second.at_ns <= since_ns:
                continue
            fine = second.p99_ms is not None and second.p99_ms <= FACTOR * self.steady_ms
            good = [*good, second] if fine else []
            if len(good) == SECONDS:
                return max(since_ns, good[0].from_ns)
        return None

    def steady(self) -> bool:
        """Whether p99 is now what it is in the steady state, or, before the first fault, is something at all."""
        last = [self._seconds[n] for n in range(-min(SECONDS, len(self._seconds)), 0)]
        limit = math.inf if self.steady_ms is None else FACTOR * self.steady_ms
        return len(last) == SECONDS and all(s.p99_ms is not None and s.p99_ms <= limit for s in last)

    def _look(self) -> Histogram:
        return merged(tally.response for tally in self._recorder.operations())


def _p99(histogram: Histogram) -> float | None:
    return histogram.percentiles_ms((99,))[0] if histogram.total >= _LEAST else None
