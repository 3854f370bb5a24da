"""Effects of small samples, against brute force, tables and each other."""

from __future__ import annotations

import math
from itertools import combinations
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosbench.compare.effect import _skipped, adjusted, effect, least_p, magnitude, p_value

values = st.lists(st.integers(0, 9).map(float), min_size=2, max_size=5)


def brute(a: list[float], b: list[float]) -> float:
    """Every way to deal the values out."""
    everything = [*a, *b]

    def uneven(chosen: tuple[int, ...]) -> float:
        x = [everything[i] for i in chosen]
        y = [everything[i] for i in range(len(everything)) if i not in chosen]
        wins = sum((p > q) + (p == q) / 2 for p in x for q in y)
        return abs(wins - len(x) * len(y) / 2)

    mine = uneven(tuple(range(len(a))))
    ways = list(combinations(range(len(everything)), len(a)))
    return sum(uneven(way) >= mine for way in ways) / len(ways)


@given(values, values)
def test_p_is_the_share_of_deals_that_are_as_uneven(a: list[float], b: list[float]):
    assert p_value(a, b) == pytest.approx(brute(a, b))


@given(values, values)
def test_swapping_the_sides_swaps_the_signs(a: list[float], b: list[float]):
    one, other = effect(a, b), effect(b, a)
    assert one.p == pytest.approx(other.p)
    assert (one.shift, one.delta) == (-other.shift, -other.delta)


@given(values, st.floats(-50, 50))
def test_a_shift_is_found(a: list[float], by: float):
    assert effect(a, [value + by for value in a]).shift == pytest.approx(by, abs=9)
    assert effect([0.0], [by]).shift == by


@pytest.mark.parametrize(
    ("n", "m", "critical"),
    # Published critical values of U at 5 %, two-sided; None: not to be had
    [
        (3, 3, None),
        (3, 4, None),
        (4, 4, 0),
        (5, 5, 2),
        (6, 6, 5),
        (7, 8, 10),
        (10, 10, 23),
        (12, 15, 49),
        (20, 20, 127),
    ],
)
def test_the_interval_is_the_test_turned_round(n: int, m: int, critical: int | None):
    assert _skipped(n, m) == (0 if critical is None else critical + 1)


def test_samples_apart_have_the_least_p_and_an_interval_without_zero():
    found = effect([10, 11, 12, 13, 14], [20, 21, 22, 23, 24])
    assert found.p == pytest.approx(2 / 252) == least_p(5, 5)
    assert (found.shift, found.delta) == (10, 1)
    assert found.low is not None and found.high is not None
    assert 0 < found.low < 10 < found.high


def test_three_against_three_cannot_show_anything_at_five_percent():
    found = effect([1, 2, 3], [10, 11, 12])
    assert found.p == pytest.approx(0.1)
    assert (found.low, found.high) == (None, None)


def test_a_single_run_has_a_difference_and_no_certainty():
    found = effect([1.0], [4.0, 5.0, 6.0])
    assert (found.shift, found.p, found.low) == (4, None, None)


def test_large_samples_are_close_to_the_exact_ones():
    a, b = [float(n) for n in range(20)], [n + 4.5 for n in range(20)]
    exact = p_value(a, b)
    assert p_value([*a, 9.25], [*b, 13.75]) == pytest.approx(exact, rel=0.25)
    assert p_value([1.0] * 30, [1.0] * 30) == 1


def test_ties_narrow_the_normal_approximation_exactly():
    """With two values, how many large ones fall to A is hypergeometric; the rank sum is half the size times that."""
    share = 21 / 42
    variance = 21 * share * (1 - share) * (42 - 21) / (42 - 1) * (42 / 2) ** 2
    z = ((14 - 21 * share) * 42 / 2 - 0.5) / math.sqrt(variance)
    a, b = [1.0] * 14 + [0.0] * 7, [1.0] * 7 + [0.0] * 14
    assert p_value(a, b) == pytest.approx(2 * NormalDist().cdf(-z), rel=1e-9)


def test_adjusted_as_published():
    """Benjamini and Hochberg's own example (1995): fifteen tests, of which four stand at 5 %."""
    low = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344]
    found = adjusted([*low, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0])
    assert sum(q <= 0.05 for q in found) == 4
    assert found[3] == pytest.approx(0.0095 * 15 / 4)
    assert adjusted([]) == ()
    assert adjusted([0.01, 0.02, 0.021]) == pytest.approx([0.021] * 3), "never more than that of a larger p"


@pytest.mark.parametrize(("delta", "word"), [(0.1, "negligible"), (-0.2, "small"), (0.4, "medium"), (-1, "large")])
def test_words_for_sizes(delta: float, word: str):
    assert magnitude(delta) == word
