"""Prometheus' classic buckets out of a histogram's cells. Pure.

A bound falls somewhere into a cell; the whole cell is counted as being at or
below the bound. So a duration of exactly the bound always is, and one up to
0.8 % above it may be: the precision of the histogram itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate, pairwise

from chaosbench.histogram import HIGHEST_US, Histogram, cell_of


@dataclass(frozen=True, slots=True)
class Buckets:
    """Counts between the bounds of a :class:`Ladder`; the last one is above all bounds."""

    counts: tuple[int, ...]
    sum_us: int

    def plus(self, other: Buckets) -> Buckets:
        """Both together; they must come from the same ladder."""
        counts = tuple(a + b for a, b in zip(self.counts, other.counts, strict=True))
        return Buckets(counts, self.sum_us + other.sum_us)

    @property
    def sum_s(self) -> float:
        """The sum of all durations in seconds."""
        return self.sum_us / 1e6


class Ladder:
    """Upper bounds in seconds, ascending, none above 60 s."""

    def __init__(self, *bounds: float) -> None:
        self.bounds = bounds
        self._edges = (0, *(cell_of(round(bound * 1e6)) + 1 for bound in bounds))
        self._names = (*(str(bound) for bound in bounds), "+Inf")

    def count(self, histogram: Histogram) -> Buckets:
        """The histogram's counts between the bounds. What lies above 60 s is above every bound."""
        cells = histogram.counts
        inside = [sum(cells[low:high]) for low, high in pairwise(self._edges)]
        above = sum(cells[self._edges[-1] :])
        if histogram.overflow and self._edges[-1] > cell_of(HIGHEST_US):
            inside[-1] -= histogram.overflow
            above += histogram.overflow
        return Buckets((*inside, above), histogram.sum_us)

    def cumulative(self, buckets: Buckets) -> list[tuple[str, float]]:
        """(``le``, count of durations up to it), ``+Inf`` included, as Prometheus wants them."""
        return list(zip(self._names, map(float, accumulate(buckets.counts)), strict=True))


LATENCY = Ladder(
    *(0.0002, 0.0003, 0.0005, 0.0007),
    *(0.001, 0.0015, 0.002, 0.003, 0.005, 0.007),
    *(0.01, 0.015, 0.02, 0.03, 0.05, 0.07),
    *(0.1, 0.15, 0.2, 0.3, 0.5, 0.7),
    *(1.0, 1.5, 2.0, 3.0, 5.0, 7.0),
    *(10.0, 15.0, 20.0, 30.0, 45.0, 60.0),
)
"""For operations: six steps a decade, from a fast local read to the longest outage a histogram holds."""

LAG = Ladder(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)
"""For the event loop's lateness; 10 ms makes an interval generator-suspect."""
