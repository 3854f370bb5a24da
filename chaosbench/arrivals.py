"""When operations arrive: the open-loop schedule as a pure function of rate and seed.

A schedule is a piecewise linear rate r(t). Its integral L(t) counts the
arrivals expected by t; arrival n happens where L(t) reaches n (constant
spacing) or where L(t) reaches the sum of n unit exponentials (a Poisson process
of that rate, by the time-change theorem). Times are seconds from the start.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

from chaosbench.share import WHOLE, Share


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of ``seconds`` over which the rate goes linearly from ``start`` to ``end`` (per second)."""

    seconds: float
    start: float
    end: float

    @property
    def hits(self) -> float:
        """Arrivals expected in the whole segment."""
        if math.isinf(self.seconds):
            return math.inf
        return self.seconds * (self.start + self.end) / 2

    def when(self, hits: float) -> float:
        """Seconds into the segment at which ``hits`` arrivals are expected to have come."""
        slope = 0.0 if math.isinf(self.seconds) else (self.end - self.start) / self.seconds
        if slope == 0:
            return hits / self.start
        # Solves slope/2 t^2 + start t = hits; this form of the root does not cancel for small slopes.
        return 2 * hits / (self.start + math.sqrt(max(0.0, self.start**2 + 2 * slope * hits)))


def segments(rate: float, stages: tuple[tuple[float, float], ...] = ()) -> tuple[Segment, ...]:
    """The schedule that starts at ``rate`` and ramps through ``(seconds, to)`` stages, then stays."""
    result = []
    for seconds, to in stages:
        if seconds > 0:
            result.append(Segment(seconds, rate, to))
        rate = to
    return (*result, Segment(math.inf, rate, rate))


def constant(schedule: tuple[Segment, ...], share: Share = WHOLE) -> Iterator[float]:
    """Evenly spaced arrivals: the first at 0. A share has every n-th of them: all shares together are exactly these."""
    return _when(schedule, (float(n) for n in count(share.index, share.count)))


def poisson(schedule: tuple[Segment, ...], rng: random.Random, share: Share = WHOLE) -> Iterator[float]:
    """Arrivals of a Poisson process with that rate.

    A share is a Poisson process of 1/n of it; n of them, independent of one another, are together one of the whole.
    """
    return _when(schedule, (hits * share.count for hits in _unit_poisson(rng)))


def _unit_poisson(rng: random.Random) -> Iterator[float]:
    hits = 0.0
    while True:
        hits += rng.expovariate(1.0)
        yield hits


def _when(schedule: tuple[Segment, ...], hits: Iterator[float]) -> Iterator[float]:
    begin_time = begin_hits = 0.0
    remaining = iter(schedule)
    segment = next(remaining)
    for hit in hits:
        while hit >= begin_hits + segment.hits:
            begin_time += segment.seconds
            begin_hits += segment.hits
            segment = next(remaining)
        yield begin_time + segment.when(hit - begin_hits)
