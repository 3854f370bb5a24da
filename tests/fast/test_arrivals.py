"""The arrival schedule against its definition: the integral of the rate."""

from __future__ import annotations

import math
import random
import statistics
from itertools import islice, pairwise, takewhile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaosbench.arrivals import Segment, constant, poisson, segments

rates = st.floats(0.1, 2000)
stages = st.lists(st.tuples(st.one_of(st.just(0.0), st.floats(0.01, 20)), rates), max_size=3).map(tuple)


def integral(rate: float, ramps: tuple[tuple[float, float], ...], until: float) -> float:
    """Arrivals expected by ``until``, added up trapezium by trapezium from the ramps themselves."""
    expected, begin = 0.0, 0.0
    for seconds, to in ramps:
        part = min(seconds, until - begin)
        if part <= 0 and seconds > 0:
            return expected
        if seconds > 0:
            expected += part * (rate + rate + (to - rate) * part / seconds) / 2
        begin, rate = begin + seconds, to
    return expected + max(0.0, until - begin) * rate


@pytest.mark.parametrize(
    ("rate", "ramps", "expected"),
    [
        (10, (), [0, 0.1, 0.2, 0.3]),
        (0.5, (), [0, 2, 4]),
        (1, ((0, 2),), [0, 0.5, 1]),
        (2, ((1, 2), (0, 4)), [0, 0.5, 1, 1.25, 1.5]),
        # From 2/s to 4/s over 2 s: t^2/2 + 2t arrivals by t.
        (2, ((2, 4),), [0, math.sqrt(6) - 2, math.sqrt(8) - 2, math.sqrt(10) - 2]),
        # 6 arrivals in the ramp, so the seventh is the first at 4/s.
        (2, ((2, 4),), [0, *(math.sqrt(4 + 2 * n) - 2 for n in range(1, 6)), 2, 2.25]),
        (4, ((2, 2),), [0, 4 - math.sqrt(14), 4 - math.sqrt(12), 4 - math.sqrt(10)]),
    ],
)
def test_constant_arrivals_as_a_table(
    rate: float, ramps: tuple[tuple[float, float], ...], expected: list[float]
) -> None:
    assert list(islice(constant(segments(rate, ramps)), len(expected))) == pytest.approx(expected)


@settings(max_examples=60)
@given(rates, stages, st.floats(0, 30))
def test_as_many_arrivals_as_the_integral_says(
    rate: float, ramps: tuple[tuple[float, float], ...], until: float
) -> None:
    expected = integral(rate, ramps, until)
    if expected > 5000:
        until, expected = 0.05, integral(rate, ramps, 0.05)
    counted = sum(1 for _ in takewhile(lambda at: at <= until, constant(segments(rate, ramps))))
    # The arrival number n (from 0) comes when the integral is n; rounding may put one on either side.
    slack = 1e-6 * (1 + expected)
    assert math.floor(expected - slack) + 1 <= counted <= math.floor(expected + slack) + 1


@settings(max_examples=60)
@given(rates, stages, st.integers(0, 2**32))
def test_arrivals_never_go_back_in_time(rate: float, ramps: tuple[tuple[float, float], ...], seed: int) -> None:
    schedule = segments(rate, ramps)
    for times in (constant(schedule), poisson(schedule, random.Random(seed))):
        assert all(0 <= a <= b + 1e-9 for a, b in pairwise(islice(times, 400)))


@given(st.floats(0.01, 100), rates, rates, st.floats(0, 1))
def test_when_is_the_inverse_of_the_integral(seconds: float, start: float, end: float, share: float) -> None:
    segment = Segment(seconds, start, end)
    at = segment.when(share * segment.hits)
    assert 0 <= at <= seconds * (1 + 1e-9)
    assert start * at + (end - start) / seconds * at * at / 2 == pytest.approx(share * segment.hits, rel=1e-6, abs=1e-9)


def test_a_poisson_process_has_exponential_gaps_of_its_rate() -> None:
    times = list(islice(poisson(segments(200), random.Random(4)), 40_000))
    gaps = [b - a for a, b in pairwise(times)]
    assert statistics.fmean(gaps) == pytest.approx(1 / 200, rel=0.02)
    assert statistics.pstdev(gaps) == pytest.approx(1 / 200, rel=0.03)


def test_poisson_counts_have_a_variance_like_their_mean() -> None:
    times = list(takewhile(lambda at: at < 400, poisson(segments(50), random.Random(11))))
    counts = [0] * 400
    for at in times:
        counts[int(at)] += 1
    assert statistics.fmean(counts) == pytest.approx(50, rel=0.03)
    assert statistics.pvariance(counts) / statistics.fmean(counts) == pytest.approx(1, abs=0.2)


def test_a_ramp_shapes_a_poisson_process_too() -> None:
    times = list(takewhile(lambda at: at < 20, poisson(segments(100, ((20, 300),)), random.Random(5))))
    halves = sum(at < 10 for at in times), sum(at >= 10 for at in times)
    assert halves[0] == pytest.approx(integral(100, ((20, 300),), 10), rel=0.06)
    assert halves[1] == pytest.approx(integral(100, ((20, 300),), 20) - halves[0], rel=0.06)


def test_the_same_seed_gives_the_same_arrivals() -> None:
    schedule = segments(10, ((5, 20),))
    one, other, third = (list(islice(poisson(schedule, random.Random(seed)), 50)) for seed in (1, 1, 2))
    assert one == other != third
