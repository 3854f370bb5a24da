"""Median, quartiles, bootstrap interval: against what can be worked out by hand, and what holds for all values."""

from __future__ import annotations

import random
import statistics
from math import comb

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaosbench.statistics_spread import FEWEST, quantile, spread

VALUES = st.lists(st.floats(min_value=-1e9, max_value=1e9), min_size=2, max_size=12)


def test_nothing_and_one_value():
    nothing = spread([], "s")
    assert (nothing.n, nothing.median, nothing.q1, nothing.low, nothing.high) == (0, None, None, None, None)
    one = spread([4.0], "s")
    assert (one.n, one.median, one.q1, one.q3, one.min, one.max) == (1, 4, 4, 4, 4, 4)
    assert (one.low, one.high) == (None, None), "of one value nothing is known of its spread"


def test_quartiles_are_those_of_the_inclusive_method():
    found = spread([4.0, 1.0, 3.0, 2.0], "s")
    assert (found.median, found.q1, found.q3, found.min, found.max) == (2.5, 1.75, 3.25, 1, 4)


@given(VALUES)
def test_quantiles_agree_with_the_standard_library(values: list[float]):
    found = sorted(values)
    q1, q2, q3 = statistics.quantiles(found, n=4, method="inclusive")
    close = pytest.approx((q1, q2, q3), rel=1e-9, abs=1e-6)
    assert (quantile(found, 0.25), quantile(found, 0.5), quantile(found, 0.75)) == close


@settings(max_examples=15, deadline=None)
@given(VALUES, st.randoms(use_true_random=False))
def test_order_does_not_matter_and_the_interval_holds_the_median(values: list[float], rng: random.Random):
    found = spread(values, "s")
    shuffled = values[:]
    rng.shuffle(shuffled)
    assert spread(shuffled, "s") == found
    low, q1, median, q3, high = found.low, found.q1, found.median, found.q3, found.high
    assert low is not None and q1 is not None and median is not None and q3 is not None and high is not None
    assert found.min is not None and found.max is not None
    assert found.min <= low <= median <= high <= found.max
    assert found.min <= q1 <= median <= q3 <= found.max


@settings(max_examples=10, deadline=None)
@given(st.floats(min_value=-1e9, max_value=1e9), st.integers(2, 12))
def test_equal_values_have_no_spread(value: float, count: int):
    found = spread([value] * count, "s")
    assert {found.median, found.q1, found.q3, found.min, found.max, found.low, found.high} == {value}


def test_the_same_seed_gives_the_same_interval():
    rng = random.Random(1)
    values = [rng.random() for _ in range(40)]
    assert spread(values, "s") == spread(values, "s")


def resampled_median(count: int) -> list[float]:
    """P(the median of a resample of 1..count is at most k), for k = 1..count; exact, for an odd count."""
    most = count // 2 + 1
    return [
        sum(comb(count, j) * (k / count) ** j * (1 - k / count) ** (count - j) for j in range(most, count + 1))
        for k in range(1, count + 1)
    ]


@pytest.mark.parametrize("count", [3, 5, 7, 11, 21, 51])
def test_the_interval_is_that_of_the_exact_bootstrap_distribution(count: int):
    """For an odd number of values a resample's median is one of them, and binomial sums say how often which."""
    exact = resampled_median(count)
    assert all(abs(p - tail) > 0.004 for p in exact for tail in (0.025, 0.975)), "no case too close to tell"
    found = spread([float(value) for value in range(1, count + 1)], "s")
    low = next(k for k, p in enumerate(exact, start=1) if p > 0.025)
    high = next(k for k, p in enumerate(exact, start=1) if p > 0.975)
    assert (found.low, found.high) == (low, high)


@pytest.mark.parametrize("count", [2, 4, 6, 10])
def test_for_an_even_number_it_agrees_with_drawing_every_sample(count: int):
    values = [float(value**2) for value in range(1, count + 1)]
    rng = random.Random(5)
    drawn = sorted(statistics.median(rng.choices(values, k=count)) for _ in range(40_000))
    found = spread(values, "s")
    assert found.low is not None and found.high is not None
    for value, tail in ((found.low, 0.025), (found.high, 0.975)):
        below, upto = (sum(one < value for one in drawn), sum(one <= value for one in drawn))
        assert below / 40_000 <= tail + 0.005 and tail - 0.005 <= upto / 40_000


def test_an_interval_of_many_values_is_as_wide_as_theory_says():
    """The median of n uniform values has a standard error of about 1 / (2 sqrt n)."""
    rng = random.Random(3)
    found = spread([rng.random() for _ in range(400)], "s")
    assert found.low is not None and found.high is not None
    assert found.high - found.low == pytest.approx(2 * 1.96 / (2 * 400**0.5), rel=0.35)
    assert found.low < 0.5 < found.high


def test_how_few_values_are_too_few():
    assert 1 - 2 / 2 ** (FEWEST - 1) < 0.95 <= 1 - 2 / 2**FEWEST
