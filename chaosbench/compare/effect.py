"""Two small samples: by how much they differ, and how surely. Pure, exact for small samples, no distribution assumed.

Outage durations are skewed and trials are few, so means and t-tests are out.
The size is the Hodges-Lehmann shift (the median of all differences) in the
figure's own unit, and Cliff's delta (how often one is larger than the other)
without one. The certainty is the Mann-Whitney test; the shift's interval is that
test turned round, so that the two never disagree on samples without ties.
Everything follows from counting rank sums, in a few lines; scipy would be 100 MB.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

CONFIDENCE = 0.95
EXACT = 40
"""Up to so many values in both samples together rank sums are counted; beyond that they are normal enough."""
_Z = statistics.NormalDist().inv_cdf(0.5 + CONFIDENCE / 2)


@dataclass(frozen=True, slots=True)
class Effect:
    """B against A.

    shift:      Hodges-Lehmann estimate of B - A, in the unit of the values
    low, high:  its 95 % interval; None when the samples are too small to have one
    delta:      Cliff's delta, from -1 (all of B below all of A) to 1
    p:          two-sided p-value; None with a single value on a side: that says nothing
    least_p:    the smallest p that samples of these sizes can have
    """

    shift: float
    low: float | None
    high: float | None
    delta: float
    p: float | None
    least_p: float | None


def effect(a: Sequence[float], b: Sequence[float]) -> Effect:
    """The effect of B against A; each has at least one value."""
    differences = sorted(y - x for x in a for y in b)
    larger = sum(d > 0 for d in differences)
    smaller = sum(d < 0 for d in differences)
    several = len(a) > 1 and len(b) > 1
    low, high = _interval(differences, len(a), len(b)) if several else (None, None)
    return Effect(
        shift=statistics.median(differences),
        low=low,
        high=high,
        delta=(larger - smaller) / len(differences),
        p=p_value(a, b) if several else None,
        least_p=least_p(len(a), len(b)) if several else None,
    )


def magnitude(delta: float) -> str:
    """A word for Cliff's delta, by the usual thresholds (Romano and others, 2006)."""
    size = abs(delta)
    return "negligible" if size < 0.147 else "small" if size < 0.33 else "medium" if size < 0.474 else "large"


def least_p(n: int, m: int) -> float:
    """The p of samples that do not overlap at all: with three against three never below 0.1."""
    return min(1.0, 2 / math.comb(n + m, n))


def p_value(a: Sequence[float], b: Sequence[float]) -> float:
    """Two-sided Mann-Whitney: how many of all ways to deal the values out are as uneven as this one, or more so.

    Values that are equal have the mean of their ranks. Exact up to 40 values,
    then the normal approximation with the usual corrections.
    """
    ranks = _midranks([*a, *b])
    n, m = len(a), len(b)
    observed, expected = sum(ranks[:n]), n * (n + m + 1)  # ranks are doubled, so sums are too
    if n + m > EXACT:
        return _normal_p(ranks, n, m, abs(observed - expected) / 2)
    ways = _rank_sums(tuple(sorted(ranks)), n)
    uneven = sum(count for total, count in ways.items() if abs(total - expected) >= abs(observed - expected))
    return uneven / math.comb(n + m, n)


def _midranks(values: Sequence[float]) -> list[int]:
    """Twice the rank of each value, equal ones sharing theirs: whole numbers."""
    ordered = sorted(values)
    first = {value: place for place, value in reversed(list(enumerate(ordered, start=1)))}
    last = {value: place for place, value in enumerate(ordered, start=1)}
    return [first[value] + last[value] for value in values]


@lru_cache(maxsize=256)
def _rank_sums(ranks: tuple[int, ...], size: int) -> dict[int, int]:
    """In how many ways ``size`` of the ranks have each sum."""
    ways: list[dict[int, int]] = [{0: 1}] + [{} for _ in range(size)]
    for number, rank in enumerate(ranks):
        for chosen in range(min(number, size - 1), -1, -1):
            for total, count in ways[chosen].items():
                ways[chosen + 1][total + rank] = ways[chosen + 1].get(total + rank, 0) + count
    return ways[size]


def _normal_p(ranks: Sequence[int], n: int, m: int, distance: float) -> float:
    size = n + m
    ties = sum(count**3 - count for count in (list(ranks).count(rank) for rank in set(ranks)))
    variance = n * m / 12 * (size + 1 - ties / (size * (size - 1)))
    if variance <= 0:
        return 1.0
    z = max(0.0, distance - 0.5) / math.sqrt(variance)
    return min(1.0, 2 * statistics.NormalDist().cdf(-z))


def _interval(differences: Sequence[float], n: int, m: int) -> tuple[float | None, float | None]:
    """Between which differences the shifts lie that the test does not reject at 5 %."""
    skip = _skipped(n, m)
    if skip < 1:
        return None, None
    return differences[skip - 1], differences[-skip]


@lru_cache(maxsize=256)
def _skipped(n: int, m: int) -> int:
    """How many differences from either end the interval's bounds lie; 0 when there is no such interval."""
    tail = (1 - CONFIDENCE) / 2
    if n + m > EXACT:
        return max(0, int(n * m / 2 - _Z * math.sqrt(n * m * (n + m + 1) / 12)))
    ways = _rank_sums(tuple(range(1, n + m + 1)), n)
    allowed, seen, skip = tail * math.comb(n + m, n), 0, 0
    lowest = n * (n + 1) // 2
    while (seen := seen + ways.get(lowest + skip, 0)) <= allowed:
        skip += 1
    return skip


def adjusted(p_values: Sequence[float]) -> tuple[float, ...]:
    """Benjamini and Hochberg: of all that is then called different below q, at most a share q is so by chance."""
    order = sorted(range(len(p_values)), key=lambda place: p_values[place], reverse=True)
    result = [1.0] * len(p_values)
    smallest = 1.0
    for rank, place in zip(range(len(p_values), 0, -1), order, strict=True):
        smallest = min(smallest, p_values[place] * len(p_values) / rank)
        result[place] = smallest
    return tuple(result)
