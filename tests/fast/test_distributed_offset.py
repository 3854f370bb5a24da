"""A clock's offset is known within the uncertainty that is claimed, whatever the way there and back takes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosbench.distributed.offset import DRIFT_PPM, Alignment

NS = st.integers(0, 50_000_000)
OFFSETS = st.integers(-(10**15), 10**15)


@given(OFFSETS, st.lists(st.tuples(NS, NS, st.integers(0, 10**9)), min_size=1, max_size=20))
def test_the_truth_lies_within_the_uncertainty_however_unequal_the_ways(truth, exchanges):
    alignment, now_ns = Alignment(), 10**12
    for there, back, pause in exchanges:
        sent = now_ns
        now_ns += there + back
        alignment.exchange(sent, sent + there + truth, now_ns)
        offset = alignment.at(now_ns)
        assert abs(offset.offset_ns - truth) <= offset.uncertainty_ns
        now_ns += pause


@given(OFFSETS, st.integers(-DRIFT_PPM, DRIFT_PPM), st.lists(st.tuples(NS, NS), min_size=1, max_size=20))
def test_it_still_does_when_the_clocks_drift(truth, ppm, exchanges):
    begun = now_ns = 10**12
    alignment = Alignment()

    def theirs(ours: int) -> int:
        return ours + truth + (ours - begun) * ppm // 1_000_000

    for there, back in exchanges:
        sent = now_ns
        now_ns += there + back
        alignment.exchange(sent, theirs(sent + there), now_ns)
        now_ns += 20_000_000_000
        offset = alignment.at(now_ns)
        # Two: their stamps are whole nanoseconds, and drift goes on within an exchange.
        slack = 2 + (there + back) * DRIFT_PPM // 1_000_000
        assert abs(offset.offset_ns - (theirs(now_ns) - now_ns)) <= offset.uncertainty_ns + slack


def test_the_shortest_trip_wins_and_ages():
    alignment = Alignment()
    alignment.exchange(0, 1_000_100, 200)
    alignment.exchange(1_000, 1_003_000, 3_000)
    assert alignment.at(3_000).offset_ns == 1_000_000
    assert alignment.at(3_000).uncertainty_ns == 101
    hour = 3_600 * 10**9
    assert alignment.at(hour).uncertainty_ns == pytest.approx(hour * DRIFT_PPM / 1e6, rel=0.01)
    alignment.exchange(hour, hour + 1_003_000, hour + 2_000)
    assert alignment.at(hour + 2_000).uncertainty_ns == 1_001
    assert alignment.worst_ns == pytest.approx(hour * DRIFT_PPM / 1e6, rel=0.01)


def test_stamps_go_there_and_back():
    alignment = Alignment()
    alignment.exchange(0, 5_000, 0)
    offset = alignment.at(0)
    assert offset.ours(offset.theirs(123)) == 123
    with pytest.raises(ValueError, match="no exchange"):
        Alignment().at(0)
