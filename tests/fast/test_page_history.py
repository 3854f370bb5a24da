"""The page's time series: bounded however long a run is, and no bad second gets lost in it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosbench.sinks.page.history import COARSER, FACTOR, FINEST, TIERS, History, Point, merged


def point(second: int, **other: object) -> Point:
    return Point(at_ms=second * 1000, **other)  # type: ignore[arg-type]


def test_the_last_ten_minutes_are_kept_as_they_came():
    history = History()
    for second in range(FINEST):
        history.add(point(second, ok=float(second)))
    assert [kept.point.ok for kept in history] == [float(second) for second in range(FINEST)]


def test_a_month_fits_and_is_in_order():
    history, most = History(), FINEST + TIERS * COARSER + (TIERS + 1) * FACTOR
    span = FINEST + COARSER * sum(FACTOR**tier for tier in range(1, TIERS + 1))
    for second in range(200_000):
        history.add(point(second))
    assert len(history) <= most
    times = [kept.point.at_ms for kept in history]
    assert times == sorted(times)
    assert times[-1] == 199_999_000
    assert span > 22 * 86_400


def test_nothing_is_lost_between_tiers():
    history = History()
    for second in range(5000):
        history.add(point(second, ok=1.0))
    assert sum(kept.point.seconds for kept in history) == 5000


def test_rates_are_averaged_over_time_and_the_worst_second_stays():
    calm = point(1, seconds=1.0, offered=10.0, ok=10.0, percentiles=(1.0, 2.0, 3.0, 4.0), backlog=0, in_flight=1)
    wild = point(
        4,
        seconds=3.0,
        offered=10.0,
        ok=2.0,
        errors={"failed 57P01": 8.0},
        percentiles=(None, 900.0, 950.0, 990.0),
        backlog=7,
        in_flight=9,
        containers={"pg1": (0.5, 100)},
    )
    both = merged([calm, wild])
    assert (both.at_ms, both.seconds, both.offered, both.ok) == (4000, 4.0, 10.0, 4.0)
    assert both.errors == {"failed 57P01": 6.0}
    assert both.percentiles == (1.0, 900.0, 950.0, 990.0)
    assert (both.backlog, both.in_flight, both.containers) == (7, 9, {"pg1": (0.5, 100)})


def test_seconds_without_load_do_not_dilute_a_rate():
    assert merged([point(1), point(2, ok=100.0, offered=100.0)]).ok == 100.0
    assert merged([point(1), point(2)]).ok is None


@given(st.lists(st.floats(0, 1e6), min_size=2, max_size=8), st.lists(st.floats(0.5, 3), min_size=8, max_size=8))
def test_merging_keeps_what_was_done(rates: list[float], lengths: list[float]):
    points = [point(at, ok=rate, seconds=length) for at, (rate, length) in enumerate(zip(rates, lengths, strict=False))]
    both = merged(points)
    assert both.ok is not None
    assert both.ok * both.seconds == pytest.approx(sum((one.ok or 0) * one.seconds for one in points))


def test_a_row_is_json_in_the_order_that_the_browser_expects():
    row = json.loads(
        point(3, offered=1.239, ok=1.0, errors={"shed deadline": 2.0}, containers={"pg1": (None, 5)}).text()
    )
    assert row == [3000, 1.0, 1.24, 1.0, {"shed deadline": 2.0}, [None] * 4, None, None, {"pg1": [None, 5]}]
