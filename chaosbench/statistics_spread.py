"""Median, quartiles and a bootstrap interval of a few values. Pure: the same values and seed give the same figures."""

from __future__ import annotations

import random
import statistics
from collections.abc import Sequence

from chaosbench.model.trials import Spread

CONFIDENCE = 0.95
RESAMPLES = 10_000
FEWEST = 6
"""Below so many values no interval made of them holds the true median with 95 %: from smallest to largest is
1 - 2 / 2**n, which is 93.75 % for five."""


def spread(values: Sequence[float], seed: str) -> Spread:
    """How the values are spread, whatever their order.

    Quartiles are interpolated between values (the inclusive method, as numpy
    and R have it by default). Without a value everything is None; of one value
    there is no interval.
    """
    found = sorted(values)
    if not found:
        return Spread(n=0, median=None, q1=None, q3=None, min=None, max=None, low=None, high=None)
    low, high = median_interval(found, seed) if len(found) > 1 else (None, None)
    return Spread(
        n=len(found),
        median=statistics.median(found),
        q1=quantile(found, 0.25),
        q3=quantile(found, 0.75),
        min=found[0],
        max=found[-1],
        low=low,
        high=high,
    )


def median_interval(found: Sequence[float], seed: str) -> tuple[float, float]:
    """The percentile bootstrap: the middle 95 % of the medians of samples drawn with replacement.

    found:  at least one value, sorted

    Drawing with replacement is drawing uniform numbers and taking the value at
    each. Only the middle one or two of those count, and the order statistics of
    uniform numbers are beta distributed: so they alone are drawn, and a hundred
    trials cost no more than five.
    """
    rng = random.Random(seed)  # noqa: S311 - not for secrets
    size = len(found)
    middle = (size + 1) // 2

    def median() -> float:
        place = rng.betavariate(middle, size - middle + 1)
        lower = found[min(int(place * size), size - 1)]
        if size % 2:
            return lower
        place += (1 - place) * rng.betavariate(1, size - middle)  # the next one, given this one
        return (lower + found[min(int(place * size), size - 1)]) / 2

    medians = sorted(median() for _ in range(RESAMPLES))
    tail = (1 - CONFIDENCE) / 2
    return quantile(medians, tail), quantile(medians, 1 - tail)


def quantile(found: Sequence[float], share: float) -> float:
    """The value below which that share of the sorted values lies, interpolated between its neighbours."""
    place = share * (len(found) - 1)
    below = int(place)
    if found[below] == found[min(below + 1, len(found) - 1)]:
        return found[below]  # exact: interpolating between equals may miss them by a rounding
    return found[below] + (found[below + 1] - found[below]) * (place - below)
