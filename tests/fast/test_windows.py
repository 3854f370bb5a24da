"""Error windows: the definition as tables, and a folder fed at random against a brute-force oracle."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosbench.outcome import OpClass, Outcome
from chaosbench.windows import Window, WindowFolder

QUIET = 20
Op = tuple[int, int]
Found = list[tuple[int, int]]


def folder(threshold: float = 0.0) -> WindowFolder:
    return WindowFolder(OpClass.WRITE, QUIET, threshold)


def fold(ops: list[Op]) -> WindowFolder:
    result = folder()
    for intended, done in sorted(ops, key=lambda op: op[1]):
        result.bad(intended, done, Outcome.FAILED)
    return result


def spans(folded: WindowFolder) -> Found:
    return [(window.start_ns, window.end_ns) for window in folded.windows]


def oracle(ops: list[Op]) -> Found:
    """The definition read literally, instant by instant (half instants too, so that touching is not overlapping).

    At an instant there are errors if some bad operation was under way, meant to have begun and not yet ended.
    Stretches with errors are one window if less than the quiet period lies between them.
    """
    bad = sorted({half for intended, done in ops for half in range(2 * intended, 2 * done + 1)})
    found: list[list[int]] = []
    for half in bad:
        if found and (half == found[-1][1] + 1 or half - found[-1][1] < 2 * QUIET):
            found[-1][1] = half
        else:
            found.append([half, half])
    return [(start // 2, end // 2) for start, end in found]


ops = st.lists(
    st.tuples(st.integers(0, 300), st.integers(0, 60)).map(lambda op: (op[0], op[0] + op[1])), min_size=1, max_size=12
)


@pytest.mark.parametrize(
    ("bad", "expected"),
    [
        ([(10, 12)], [(10, 12)]),
        ([(10, 12), (11, 13), (12, 15)], [(10, 15)]),
        # Quiet for less than, and for as long as, the quiet period.
        ([(10, 12), (31, 33)], [(10, 33)]),
        ([(10, 12), (32, 33)], [(10, 12), (32, 33)]),
        # It opens at the intended start, also of one that became known late.
        ([(10, 12), (5, 14)], [(5, 14)]),
        # One that hung was under way all the time: nothing of that was quiet.
        ([(10, 12), (12, 60)], [(10, 60)]),
        ([(10, 12), (31, 90)], [(10, 90)]),
        # ... and ties earlier windows together.
        ([(10, 12), (40, 42), (70, 72), (11, 100)], [(10, 100)]),
        ([(10, 12), (40, 42), (70, 72), (43, 100)], [(10, 12), (40, 100)]),
    ],
)
def test_windows_as_a_table(bad: list[Op], expected: Found) -> None:
    assert spans(fold(bad)) == expected == oracle(bad)


@given(ops)
def test_windows_are_what_the_definition_says(bad: list[Op]) -> None:
    folded = fold(bad)
    assert spans(folded) == oracle(bad)
    assert sum((window.counts for window in folded.windows), Counter()).total() == len(bad)


@given(ops, st.lists(st.integers(0, 500), max_size=40), st.integers(0, 3))
def test_when_it_is_looked_at_changes_no_window(bad: list[Op], looks: list[int], in_flight: int) -> None:
    folded = folder()
    steps = [(done, 1, intended) for intended, done in bad] + [(now, 0, 0) for now in looks]
    for count, (at, is_bad, intended) in enumerate(sorted(steps)):
        if is_bad:
            folded.bad(intended, at, Outcome.UNKNOWN)
        else:
            folded.advance(at, count, in_flight)
    assert spans(folded) == oracle(bad)
    assert all(window.closed for window in folded.windows[:-1])


@given(ops, st.lists(st.integers(0, 400), min_size=2, max_size=8, unique=True))
def test_a_windows_gap_is_the_longest_that_touches_it(bad: list[Op], successes: list[int]) -> None:
    folded = folder()
    at = sorted(successes)
    gaps = list(pairwise(at))
    steps = [(done, 0, (intended, done)) for intended, done in bad] + [(gap[1], 1, gap) for gap in gaps]
    for _, is_gap, (begin, end) in sorted(steps):
        if is_gap:
            folded.gap(begin, end)
        else:
            folded.bad(begin, end, Outcome.FAILED)
    for window in folded.windows:
        touching = [end - begin for begin, end in gaps if begin <= window.end_ns and end >= window.start_ns]
        found = window.longest_gap
        assert (found[1] - found[0] if found else None) == max(touching, default=None)


def looked_at(
    folded: WindowFolder, until: int, done_each: int = 1, in_flight: int = 0, begin: int = 0
) -> Window | None:
    """Look every instant; returns the window that closed, if one did."""
    closed = None
    for now in range(begin, until + 1):
        closed = folded.advance(now, now * done_each, in_flight) or closed
    return closed


def test_a_window_closes_when_the_quiet_period_is_over_and_ends_at_the_last_error() -> None:
    folded = folder()
    folded.bad(3, 5, Outcome.FAILED)
    assert looked_at(folded, 24) is None
    assert folded.open is not None
    closed = looked_at(folded, 25, begin=25)
    assert closed is not None
    assert (closed.start_ns, closed.end_ns, closed.seen_ns, closed.closed_ns) == (3, 5, 5, 25)
    assert folded.open is None


def test_silence_is_not_quiet_while_operations_are_under_way() -> None:
    folded = folder()
    folded.bad(3, 5, Outcome.FAILED)
    assert looked_at(folded, 100, done_each=0, in_flight=4) is None
    assert looked_at(folded, 101, done_each=0, in_flight=0, begin=101) is not None


def test_with_a_threshold_a_window_closes_although_some_still_fail() -> None:
    folded = folder(threshold=0.1)
    closed = None
    for now in range(120):
        if now < 40 or now % 20 == 0:
            folded.bad(now - 1, now, Outcome.FAILED)
        closed = closed or folded.advance(now, now)
    assert closed is not None
    assert closed.start_ns == -1
    assert 57 <= (closed.closed_ns or 0) <= 61  # 2 of 20 in the quiet period is 10 %
    assert closed.end_ns <= 60
    assert len(folded.windows) > 1
    assert all(
        earlier.end_ns <= later.start_ns for earlier, later in zip(folded.windows, folded.windows[1:], strict=False)
    )


def test_only_what_opens_or_reopens_a_window_says_so() -> None:
    folded = folder()
    first = folded.bad(1, 2, Outcome.FAILED)
    assert first is folded.open
    assert folded.bad(2, 3, Outcome.SHED) is None
    assert looked_at(folded, 60) is first
    assert folded.bad(10, 70, Outcome.UNKNOWN) is first
    assert first is not None
    assert first.counts == {Outcome.FAILED: 1, Outcome.SHED: 1, Outcome.UNKNOWN: 1}
    assert folded.bad(90, 95, Outcome.FAILED) is folded.windows[1]


def test_lapse_closes_a_window_that_nobody_looked_at() -> None:
    folded = folder()
    folded.bad(1, 2, Outcome.FAILED)
    assert folded.lapse(21) is None
    lapsed = folded.lapse(22)
    assert lapsed is folded.windows[0]
    assert lapsed is not None
    assert lapsed.closed_ns == 22
    assert folded.lapse(50) is None
