"""The one clock and its anchor."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosbench.clock import NS, Anchor, Clock, loop_clock, to_ns, to_s

WALL = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
ANCHOR = Anchor(5 * NS, WALL)


@pytest.mark.parametrize(
    ("at_ns", "since", "date"),
    [
        (5 * NS, 0.0, WALL),
        (6 * NS, 1.0, WALL + timedelta(seconds=1)),
        (5 * NS + 1_500, 0.000002, WALL + timedelta(microseconds=1)),
        (4 * NS, -1.0, WALL - timedelta(seconds=1)),
    ],
)
def test_stamps_become_dates_and_seconds(at_ns: int, since: float, date: datetime) -> None:
    assert ANCHOR.since(at_ns) == since
    assert ANCHOR.date(at_ns) == date


@given(st.integers(0, 10**15))
def test_a_wall_clock_time_becomes_the_stamp_that_it_was(at_ns: int) -> None:
    date = ANCHOR.date(at_ns)
    wall_ns = (date - datetime.fromtimestamp(0, UTC)) // timedelta(microseconds=1) * 1000
    assert 0 <= at_ns - ANCHOR.monotonic(wall_ns) < 1000


@given(st.floats(-1e6, 1e6).map(lambda seconds: round(seconds, 6)))
def test_seconds_survive_the_way_there_and_back(seconds: float) -> None:
    assert to_s(to_ns(seconds)) == seconds


def test_an_anchor_ties_the_clock_to_a_date_in_utc() -> None:
    anchor = Clock(now=lambda: 77).anchor()
    assert anchor.monotonic_ns == 77
    assert anchor.wall.utcoffset() == timedelta(0)


@pytest.mark.asyncio
@pytest.mark.looptime
async def test_sleeping_until_a_stamp_moves_the_clock_to_it() -> None:
    clock = loop_clock()
    begin = clock.now()
    await clock.sleep_until(begin + 40 * NS)
    assert clock.now() - begin == 40 * NS


@pytest.mark.asyncio
@pytest.mark.looptime
async def test_a_stamp_in_the_past_is_not_waited_for() -> None:
    clock = loop_clock()
    begin = clock.now()
    await clock.sleep_until(begin - 40 * NS)
    await clock.sleep(-3)
    assert clock.now() == begin
