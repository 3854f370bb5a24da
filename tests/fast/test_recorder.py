"""The recorder: every operation is counted once, windows are told, an outage is watched only while it should be."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from chaosbench.clock import NS, Clock
from chaosbench.events import Event, Kind
from chaosbench.model.scenario import Windows
from chaosbench.outcome import OpClass, Outcome
from chaosbench.recorder.recorder import LAG_LIMIT_NS, Lag, Recorder, window_data
from chaosbench.recorder.tally import NOTED_MOST

KINDS = (("load", "select", OpClass.READ), ("load", "update", OpClass.WRITE), ("canary", "insert", OpClass.WRITE))
MS = 1_000_000


class Bench:
    """A recorder on a clock that is set by hand, and what it told."""

    def __init__(self) -> None:
        self.now_ns = 100 * NS
        self.events: list[Event] = []
        self.recorder = Recorder(Clock(now=lambda: self.now_ns), Windows(), self.events.append)

    def told(self) -> list[tuple[Kind, object]]:
        return [(event.kind, event.data["class"]) for event in self.events]

    def run(self, seconds: float) -> None:
        """Time passes, looked at ten times a second."""
        for _ in range(round(seconds * 10)):
            self.now_ns += NS // 10
            self.recorder.advance()


steps = st.lists(
    st.one_of(
        st.tuples(st.just("arrive"), st.integers(0, 2)),
        st.tuples(st.just("end"), st.integers(0, 50), st.sampled_from(Outcome), st.booleans()),
        st.tuples(st.just("pass"), st.integers(1, 4000)),
    ),
    max_size=80,
)


@given(steps)
def test_attempted_is_always_the_sum_of_all_ends_and_what_is_in_flight(sequence: list[tuple[object, ...]]) -> None:
    bench = Bench()
    under_way: list[tuple[int, int]] = []
    ended: Counter[tuple[int, Outcome]] = Counter()
    arrived: Counter[int] = Counter()
    for step in sequence:
        match step:
            case ("arrive", int(which)):
                arrived[which] += 1
                bench.recorder.tally(*KINDS[which]).attempted += 1
                under_way.append((which, bench.now_ns))
            case ("end", int(index), Outcome() as outcome, bool(sent)) if under_way:
                which, intended_ns = under_way.pop(index % len(under_way))
                ended[which, outcome] += 1
                tally = bench.recorder.tally(*KINDS[which])
                if outcome is Outcome.OK:
                    tally.record_ok(intended_ns, intended_ns, bench.now_ns)
                else:
                    bench.recorder.bad(tally, outcome, "why", intended_ns, intended_ns if sent else None, bench.now_ns)
            case ("pass", int(milliseconds)):
                bench.now_ns += milliseconds * MS
                bench.recorder.advance()
        for tally in bench.recorder.tallies:
            assert tally.attempted == tally.ok + tally.ended.total() + tally.in_flight
    for which, kind in enumerate(KINDS):
        tally = bench.recorder.tally(*kind)
        assert tally.attempted == arrived[which]
        assert tally.in_flight == sum(one == which for one, _ in under_way)
        assert {Outcome.OK: tally.ok, **tally.ended} == {Outcome.OK: 0} | {
            outcome: count for (one, outcome), count in ended.items() if one == which
        }
        assert tally.reasons.total() == tally.ended.total() == tally.response_bad.total
        assert tally.response.total == tally.service.total == tally.ok
    assert bench.recorder.offered == arrived.total()
    _windows_agree(bench, ended)


def _windows_agree(bench: Bench, ended: Counter[tuple[int, Outcome]]) -> None:
    """Every bad end is in one window, and as many windows were told to open as to close, but for the open ones."""
    bench.run(2.1)
    bench.recorder.finish()
    windows = bench.recorder.windows()
    assert sum(window.counts.total() for window in windows) == sum(n for (_, o), n in ended.items() if o != Outcome.OK)
    for op_class in (OpClass.READ, OpClass.WRITE):
        told = [kind for kind, which in bench.told() if which == op_class]
        assert told == [Kind.WINDOW_OPENED, Kind.WINDOW_CLOSED] * (len(told) // 2)


def test_one_tally_a_kind_of_operation() -> None:
    recorder = Bench().recorder
    assert recorder.tally(*KINDS[0]) is recorder.tally(*KINDS[0])
    assert recorder.tally(*KINDS[0]) is not recorder.tally(*KINDS[1])
    assert len(recorder.tallies) == 2


def test_connects_are_tallied_but_are_no_operations() -> None:
    recorder = Bench().recorder
    recorder.tally("load", "connect", OpClass.CONNECT).attempted += 5
    recorder.tally(*KINDS[0]).attempted += 3
    assert recorder.offered == 3
    assert [tally.operation for tally in recorder.operations()] == ["select"]
    assert len(recorder.tallies) == 2


def test_a_window_is_told_when_it_opens_and_after_the_quiet_period() -> None:
    bench = Bench()
    tally = bench.recorder.tally(*KINDS[1])
    tally.attempted += 1
    bench.recorder.bad(tally, Outcome.FAILED, "57P01", bench.now_ns - NS, bench.now_ns - NS, bench.now_ns)
    assert bench.events[0].data == {"class": "write", "reason": "57P01", "reopened": False}
    bench.run(1.9)
    assert len(bench.events) == 1
    bench.run(0.2)
    assert bench.told() == [(Kind.WINDOW_OPENED, "write"), (Kind.WINDOW_CLOSED, "write")]
    assert bench.events[1].data == window_data(bench.recorder.windows()[0])
    assert bench.events[1].data == {
        "class": "write",
        "start_ns": 99 * NS,
        "end_ns": 100 * NS,
        "duration_s": 1.0,
        "counts": {"failed": 1},
    }


def test_a_window_that_nobody_looked_at_is_told_to_be_over_before_the_next_opens() -> None:
    bench = Bench()
    tally = bench.recorder.tally(*KINDS[1])
    for _ in range(2):
        tally.attempted += 1
        bench.recorder.bad(tally, Outcome.FAILED, "08006", bench.now_ns, bench.now_ns, bench.now_ns)
        bench.now_ns += 5 * NS
    assert [kind for kind, _ in bench.told()] == [Kind.WINDOW_OPENED, Kind.WINDOW_CLOSED, Kind.WINDOW_OPENED]


def test_a_window_stays_open_while_everything_hangs() -> None:
    bench = Bench()
    tally = bench.recorder.tally(*KINDS[1])
    tally.attempted += 2
    bench.recorder.bad(tally, Outcome.FAILED, "57P01", bench.now_ns, bench.now_ns, bench.now_ns)
    bench.run(10)
    assert [kind for kind, _ in bench.told()] == [Kind.WINDOW_OPENED]
    tally.record_ok(bench.now_ns, bench.now_ns, bench.now_ns)
    bench.run(0.1)
    assert [kind for kind, _ in bench.told()] == [Kind.WINDOW_OPENED, Kind.WINDOW_CLOSED]


def test_an_operation_that_hung_reopens_the_window_in_which_it_began() -> None:
    bench = Bench()
    tally, other = bench.recorder.tally(*KINDS[1]), bench.recorder.tally(*KINDS[2])
    tally.attempted += 2
    other.attempted += 100
    hung_ns = bench.now_ns
    bench.recorder.bad(tally, Outcome.FAILED, "57P01", hung_ns, hung_ns, hung_ns)
    for _ in range(30):
        bench.run(0.1)
        other.record_ok(bench.now_ns, bench.now_ns, bench.now_ns)
    assert [kind for kind, _ in bench.told()] == [Kind.WINDOW_OPENED, Kind.WINDOW_CLOSED]
    bench.recorder.bad(tally, Outcome.UNKNOWN, "timeout", hung_ns + NS, hung_ns + NS, bench.now_ns)
    assert bench.events[-1].data["reopened"] is True
    assert len(bench.recorder.windows()) == 1
    assert bench.recorder.windows()[0].duration_ns == 3 * NS


def test_what_began_in_an_earlier_recorder_counts_there_and_opens_no_window_here() -> None:
    warm_up, bench = Bench(), Bench()
    tally = warm_up.recorder.tally(*KINDS[1])
    tally.attempted += 1
    bench.recorder.bad(tally, Outcome.UNKNOWN, "timeout", bench.now_ns, bench.now_ns, bench.now_ns)
    assert tally.ended == {Outcome.UNKNOWN: 1}
    assert (bench.told(), bench.recorder.windows()) == ([], ())
    assert len(warm_up.recorder.windows()) == 1


def test_the_end_of_the_load_closes_what_is_open_and_counts_the_open_gap() -> None:
    bench = Bench()
    tally = bench.recorder.tally(*KINDS[1])
    tally.attempted += 2
    tally.record_ok(bench.now_ns, bench.now_ns, bench.now_ns)
    bench.now_ns += NS
    bench.recorder.bad(tally, Outcome.SHED, "deadline", bench.now_ns, None, bench.now_ns)
    bench.now_ns += NS
    bench.recorder.finish()
    (window,) = bench.recorder.windows()
    assert window.closed
    assert window.longest_gap == (100 * NS, 102 * NS)
    assert bench.told()[-1] == (Kind.WINDOW_CLOSED, "write")


def test_only_writes_are_watched_and_only_while_asked() -> None:
    bench = Bench()
    read, write = bench.recorder.tally(*KINDS[0]), bench.recorder.tally(*KINDS[1])
    outage = bench.recorder.watch(bench.now_ns)
    bench.recorder.bad(read, Outcome.FAILED, "x", bench.now_ns, bench.now_ns, bench.now_ns + 1)
    assert outage.t1_ns is None
    bench.recorder.bad(write, Outcome.FAILED, "x", bench.now_ns + 2, bench.now_ns + 2, bench.now_ns + 3)
    assert outage.t1_ns == bench.now_ns + 2
    bench.recorder.unwatch(outage)
    write.record_ok(bench.now_ns + 4, bench.now_ns + 4, bench.now_ns + 5)
    assert outage.t6_ns(bench.now_ns + 6) is None


def test_a_late_loop_makes_the_moment_suspect() -> None:
    lag = Lag()
    assert not lag.record(LAG_LIMIT_NS - 1)
    assert lag.record(LAG_LIMIT_NS)
    assert (lag.suspects, lag.suspect_ns) == (1, LAG_LIMIT_NS)
    assert lag.histogram.total == 2


def test_nobody_sees_that_acknowledgements_are_folded_in_together():
    bench = Bench()
    read, update = (bench.recorder.tally(*kind) for kind in KINDS[:2])
    for number in range(NOTED_MOST - 1):
        read.record_ok(bench.now_ns, bench.now_ns, bench.now_ns + number)
    assert len(read.track.noted) == NOTED_MOST - 1, "they are only noted"
    assert read.ok == NOTED_MOST - 1
    assert not read.track.noted
    for _ in range(NOTED_MOST):
        update.record_ok(bench.now_ns, bench.now_ns, bench.now_ns)
    assert not update.track.noted, "a full list is folded in without being asked"
    assert update.service.total == NOTED_MOST


def test_a_gap_is_known_when_the_operation_after_it_ends_badly():
    bench = Bench()
    update = bench.recorder.tally(*KINDS[1])
    begin_ns = bench.now_ns
    update.record_ok(begin_ns, begin_ns, begin_ns)
    bench.now_ns += NS
    update.record_ok(bench.now_ns, bench.now_ns, bench.now_ns)
    bench.recorder.bad(update, Outcome.FAILED, "x", begin_ns, begin_ns, bench.now_ns)
    (window,) = bench.recorder.windows()
    assert window.longest_gap == (begin_ns, bench.now_ns)


def test_whoever_watches_an_outage_hears_of_each_acknowledgement_at_once():
    bench = Bench()
    update = bench.recorder.tally(*KINDS[1])
    update.record_ok(bench.now_ns, bench.now_ns, bench.now_ns)
    outage = bench.recorder.watch(bench.now_ns)
    update.record_ok(bench.now_ns, bench.now_ns, bench.now_ns + 5)
    assert outage.last_ack_ns == bench.now_ns + 5, "the canary's acknowledgements come beside these, in order"
    bench.recorder.unwatch(outage)
    update.record_ok(bench.now_ns, bench.now_ns, bench.now_ns + 9)
    assert bench.recorder.outages == ()
    assert update.ok == 3
    assert outage.last_ack_ns == bench.now_ns + 5
