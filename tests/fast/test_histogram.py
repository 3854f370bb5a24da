"""The histogram is HdrHistogram's, bucket for bucket, and everything done with it is exact."""

from __future__ import annotations

import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given
from hypothesis import strategies as st

from chaosbench.histogram import CELLS, HIGHEST_US, Histogram, cell_of, highest_of, merged
from chaosbench.outcome import OpClass
from chaosbench.recorder.tally import ClassTrack, Tally
from chaosbench.windows import WindowFolder

values = st.one_of(
    st.integers(0, HIGHEST_US),
    st.integers(0, 26).map(lambda power: 1 << power).filter(lambda value: value <= HIGHEST_US),
    st.integers(8, 25).map(lambda power: (1 << power) - 1),
)
many = st.lists(values, max_size=60)


def histogram(recorded: list[int]) -> Histogram:
    result = Histogram()
    for value in recorded:
        result.record(value)
    return result


def library(recorded: list[int]) -> HdrHistogram:
    result = HdrHistogram(1, HIGHEST_US, 2)
    for value in recorded:
        assert result.record_value(value)
    return result


def state(histogram: Histogram) -> tuple[object, ...]:
    return histogram.counts, histogram.sum_us, histogram.max_us, histogram.overflow


def test_there_are_as_many_cells_as_in_the_library() -> None:
    assert HdrHistogram(1, HIGHEST_US, 2).counts_len == CELLS


@given(values)
def test_a_value_falls_into_the_librarys_cell(value: int) -> None:
    theirs = library([value])
    assert [cell for cell in range(CELLS) if theirs.counts[cell]] == [cell_of(value)]


@given(values)
def test_a_cells_upper_bound_is_the_librarys(value: int) -> None:
    assert highest_of(cell_of(value)) == library([]).get_highest_equivalent_value(value)


def test_cells_follow_each_other_without_gap_or_overlap() -> None:
    last = cell_of(HIGHEST_US)
    for cell in range(last):
        assert cell_of(highest_of(cell)) == cell
        assert cell_of(highest_of(cell) + 1) == cell + 1


@given(values)
def test_a_value_is_known_to_one_percent(value: int) -> None:
    assert 0 <= highest_of(cell_of(value)) - value <= value / 100


@given(many)
def test_all_counts_are_the_librarys(recorded: list[int]) -> None:
    assert histogram(recorded).counts == list(library(recorded).counts)
    assert list(histogram(recorded).to_hdr().counts) == list(library(recorded).counts)
    assert histogram(recorded).total == len(recorded)


@given(many.filter(bool), st.lists(st.floats(0.001, 100), min_size=1, max_size=5))
def test_percentiles_are_the_librarys_but_never_above_the_maximum(recorded: list[int], percents: list[float]) -> None:
    theirs = library(recorded)
    expected = tuple(min(theirs.get_value_at_percentile(percent), max(recorded)) / 1000 for percent in percents)
    assert histogram(recorded).percentiles_ms(percents) == expected


def test_percentiles_of_nothing_are_none() -> None:
    assert Histogram().percentiles_ms((50, 99)) == (None, None)


@given(many, many)
def test_merging_loses_nothing(one: list[int], other: list[int]) -> None:
    together = merged([histogram(one), histogram(other)])
    assert state(together) == state(histogram(one + other))


@given(many, many)
def test_since_is_what_came_after(before: list[int], after: list[int]) -> None:
    live = histogram(before)
    earlier = live.copy()
    for value in after:
        live.record(value)
    interval = live.since(earlier)
    assert interval.counts == histogram(after).counts
    assert interval.sum_us == sum(after)
    assert max(after, default=0) <= interval.max_us <= max([*before, *after], default=0)
    assert cell_of(interval.max_us) == cell_of(max(after, default=0))


def test_a_copy_is_independent() -> None:
    live = histogram([5, 70_000_000])
    copy = live.copy()
    live.record(7)
    assert state(copy) == state(histogram([5, 70_000_000]))


@pytest.mark.parametrize(
    ("value", "cell", "overflow"),
    [
        (-5, 0, 0),
        (0, 0, 0),
        (HIGHEST_US, cell_of(HIGHEST_US), 0),
        (HIGHEST_US + 1, cell_of(HIGHEST_US), 1),
        (3_600_000_000, cell_of(HIGHEST_US), 1),
    ],
)
def test_values_outside_the_range_are_clamped_and_counted(value: int, cell: int, overflow: int) -> None:
    one = histogram([value])
    assert one.counts[cell] == 1
    assert one.overflow == overflow
    assert one.max_us == one.sum_us == max(0, value)


def test_overflow_since_keeps_the_true_maximum() -> None:
    live = histogram([10])
    earlier = live.copy()
    live.record(90_000_000)
    assert live.since(earlier).overflow == 1
    assert live.since(earlier).max_us == 90_000_000


@given(st.lists(st.one_of(values, st.integers(HIGHEST_US, 2 * HIGHEST_US)), max_size=40))
def test_the_hot_path_counts_as_record_does(recorded: list[int]) -> None:
    tally = Tally("w", "o", OpClass.READ, ClassTrack(WindowFolder(OpClass.READ, 1), 0))
    for value in recorded:
        tally.record_ok(0, value // 2 * 1000, value * 1000)
    assert state(tally.response) == state(histogram(recorded))
    assert state(tally.service) == state(histogram([value - value // 2 for value in recorded]))
