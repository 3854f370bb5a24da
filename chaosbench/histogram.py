"""Latency counts in HdrHistogram's own layout, cheap enough for the hot path.

A :class:`Histogram` is a list of integers. For a value ``v`` in microseconds,
with ``s = v.bit_length() - 8``, the cell is ``v`` if ``s <= 0`` else
``(s << 7) + (v >> s)``: bucket for bucket that of ``HdrHistogram(1,
60_000_000, 2)``, whose library does everything that is not recording. Values
are good to 1 %; above 60 s they are clamped and counted in ``overflow``.
"""

from __future__ import annotations

import operator
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, compress

from hdrh.histogram import HdrHistogram

HIGHEST_US = 60_000_000
CELLS = 2560


def cell_of(value_us: int) -> int:
    """The index of the cell that counts ``value_us``."""
    shift = value_us.bit_length() - 8
    return value_us if shift <= 0 else (shift << 7) + (value_us >> shift)


def highest_of(cell: int) -> int:
    """The largest value, in microseconds, that falls into ``cell``."""
    if cell < 256:
        return cell
    shift = (cell >> 7) - 1
    return (((cell - (shift << 7)) + 1) << shift) - 1


@dataclass(frozen=True, slots=True)
class Cells:
    """What a histogram holds, without its empty cells: to be sent to another process. ``cells``: index and count."""

    cells: tuple[tuple[int, int], ...]
    sum_us: int
    max_us: int
    overflow: int


NO_CELLS = Cells((), 0, 0, 0)


class Histogram:
    """Counts of durations. ``counts`` may be incremented directly by the hot path.

    The caller that does so keeps ``sum_us`` and ``max_us`` too; :meth:`record` does all of it.
    """

    __slots__ = ("counts", "max_us", "overflow", "sum_us")

    def __init__(self) -> None:
        self.counts = [0] * CELLS
        self.sum_us = 0
        self.max_us = 0
        self.overflow = 0

    def record(self, value_us: int) -> None:
        """Count one duration in whole microseconds; negative counts as 0."""
        value_us = max(0, value_us)
        self.sum_us += value_us
        self.max_us = max(self.max_us, value_us)
        if value_us > HIGHEST_US:
            self.overflow += 1
            value_us = HIGHEST_US
        self.counts[cell_of(value_us)] += 1

    @property
    def total(self) -> int:
        """How many durations were counted."""
        return sum(self.counts)

    def add(self, other: Histogram) -> None:
        """Merge another histogram into this one, exactly."""
        self.counts = list(map(operator.add, self.counts, other.counts))
        self.sum_us += other.sum_us
        self.max_us = max(self.max_us, other.max_us)
        self.overflow += other.overflow

    def cells(self) -> Cells:
        """Everything in it, compact."""
        used = tuple((cell, self.counts[cell]) for cell in compress(range(CELLS), self.counts))
        return Cells(used, self.sum_us, self.max_us, self.overflow)

    def add_cells(self, other: Cells) -> None:
        """Merge another one's cells into this one, exactly."""
        for cell, counted in other.cells:
            self.counts[cell] += counted
        self.sum_us += other.sum_us
        self.max_us = max(self.max_us, other.max_us)
        self.overflow += other.overflow

    def copy(self) -> Histogram:
        """A histogram with the same counts, independent of this one."""
        result = Histogram()
        result.counts = self.counts.copy()
        result.sum_us, result.max_us, result.overflow = self.sum_us, self.max_us, self.overflow
        return result

    def since(self, earlier: Histogram) -> Histogram:
        """What was counted after ``earlier``, a copy of this one.

        Its ``max_us`` is the upper bound of its highest cell, or this histogram's own maximum if that is lower.
        """
        result = Histogram()
        result.counts = list(map(operator.sub, self.counts, earlier.counts))
        result.sum_us = self.sum_us - earlier.sum_us
        result.overflow = self.overflow - earlier.overflow
        top = next((cell for cell in range(CELLS - 1, -1, -1) if result.counts[cell]), 0)
        result.max_us = self.max_us if result.overflow else min(highest_of(top), self.max_us)
        return result

    def percentiles_ms(self, percents: Sequence[float]) -> tuple[float | None, ...]:
        """Each percentile in milliseconds (upper bound of its cell, at most the maximum); None when empty.

        The same rank rule as HdrHistogram's, found by bisection instead of its
        scan in Python, since the live view asks every second.
        """
        running = list(accumulate(self.counts))
        total = running[-1]
        if total == 0:
            return (None,) * len(percents)
        ranks = (max(1, int(percent * total / 100 + 0.5)) for percent in percents)
        return tuple(min(highest_of(bisect_left(running, rank)), self.max_us) / 1000 for rank in ranks)

    def to_hdr(self) -> HdrHistogram:
        """The same counts as an HdrHistogram, for encoding and percentiles."""
        result = HdrHistogram(1, HIGHEST_US, 2)
        # All at once, as its own decoder does: recording cell by cell takes over a millisecond.
        result.counts[:] = self.counts
        used = [cell for cell, counted in enumerate(self.counts) if counted]
        result.set_internal_tacking_values(used[0] if used else -1, used[-1] if used else -1, self.total)
        return result


def merged(histograms: Iterable[Histogram]) -> Histogram:
    """One histogram with the counts of all."""
    result = Histogram()
    for histogram in histograms:
        result.add(histogram)
    return result
