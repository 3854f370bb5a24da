"""What workers tell in pieces, folded, is what one recorder would have seen of all of it."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from chaosbench.clock import Clock
from chaosbench.distributed.folding import Folding
from chaosbench.distributed.gathering import NO_READS, GatheringLedger, GatheringRecorder
from chaosbench.distributed.offset import Offset
from chaosbench.distributed.wire import Answer
from chaosbench.ledger import Ledger
from chaosbench.model.scenario import Windows
from chaosbench.outcome import OpClass, Outcome
from chaosbench.recorder.recorder import Recorder
from chaosbench.recorder.samples import Samples
from chaosbench.share import Share
from chaosbench.staleness import Registers

MS = 1_000_000
START = 10**12
T0 = START + 300 * MS

OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from([0, 0, 0, 1, 2]),  # which worker
        st.sampled_from(OpClass),
        st.sampled_from([Outcome.OK, Outcome.OK, Outcome.OK, Outcome.FAILED, Outcome.UNKNOWN, Outcome.SHED]),
        st.integers(0, 400),  # ms since the one before ended
        st.integers(0, 900),  # ms of waiting
        st.integers(0, 300),  # ms of service
        st.sampled_from([False] * 9 + [True]),  # whether that worker is asked now
    ),
    min_size=5,
    max_size=60,
)


class Telling:
    """One worker: its recorder, its clock, what it answers."""

    def __init__(self, index: int, workers: int) -> None:
        self.offset = Offset((index + 1) * 77_777_777_777, 50)
        self.now_ns = START
        self.clock = Clock(now=lambda: self.offset.theirs(self.now_ns))
        self.recorder = GatheringRecorder(self.clock, 0, outages=True, samples=True)
        self.ledger = GatheringLedger(1, Share(index, workers))
        self.number = 0

    def answer(self, ended: bool = False) -> Answer:
        self.number += 1
        return Answer(
            number=self.number,
            now_ns=self.clock.now(),
            gains=(self.recorder.take(NO_READS),),
            ledger=self.ledger.take(),
            connected=0,
            backlog=0,
            cpu_s=0.0,
            ended=ended,
        )


def recorder(events, now) -> Recorder:
    return Recorder(Clock(now=now), Windows(), events.append, Samples())


def record(into: Recorder, op_class: OpClass, outcome: Outcome, intended: int, sent: int | None, done: int) -> None:
    tally = into.tally("load", op_class.value, op_class)
    tally.attempted += 1
    if outcome is Outcome.OK:
        assert sent is not None
        tally.record_ok(intended, sent, done)
    else:
        into.bad(tally, outcome, "why", intended, sent, done)
    assert tally.samples is not None
    tally.samples.add(tally, outcome, "" if outcome is Outcome.OK else "why", (intended, sent, done), 3)


def figures(one: Recorder) -> dict[tuple[str, str], object]:
    return {
        (tally.workload, tally.operation): (
            tally.attempted,
            tally.ok,
            dict(tally.ended),
            dict(tally.reasons),
            [(h.counts, h.sum_us, h.max_us) for h in (tally.response, tally.service)],
            [(h.counts, h.sum_us, h.max_us) for h in (tally.response_bad, tally.service_bad)],
        )
        for tally in one.tallies
    }


def kept(one: Recorder):
    assert one.samples is not None
    return [(sample[0].operation, *sample[1:6]) for sample in one.samples.take()]


@settings(max_examples=40, deadline=None)
@given(OPERATIONS)
def test_the_sum_of_the_workers_is_what_one_recorder_would_have_seen(operations):
    asyncio.run(_same(operations))


async def _same(operations) -> None:
    now = [START]
    events_one, events_all = [], []
    one, of_all = recorder(events_one, lambda: now[0]), recorder(events_all, lambda: now[0])
    folding = Folding(of_all, Ledger(1), Registers(1))
    workers = [Telling(index, 3) for index in range(3)]
    for index, worker in enumerate(workers):
        folding.join(index, Share(index, 3))
        worker.now_ns = START
    outage_one = outage_all = None
    done = START
    for number, op_class, outcome, since, waiting, service, asked in operations:
        done += since * MS + 1  # no two at once: their order is then certain
        if outage_one is None and done >= T0:
            outage_one, outage_all = one.watch(T0), of_all.watch(T0)
        sent = None if outcome is Outcome.SHED else done - service * MS
        intended = (sent or done) - waiting * MS
        now[0] = done
        for worker in workers:
            worker.now_ns = done
        worker = workers[number]
        record(one, op_class, outcome, intended, sent, done)
        theirs = worker.offset.theirs
        sent_there = None if sent is None else theirs(sent)
        record(worker.recorder, op_class, outcome, theirs(intended), sent_there, theirs(done))
        if asked:
            folding.take(number, worker.answer(), worker.offset, 0)
            await folding.fold()
    for number, worker in enumerate(workers):
        folding.take(number, worker.answer(ended=True), worker.offset, 0)
    await folding.fold()
    one.finish()
    of_all.finish()
    assert figures(one) == figures(of_all)
    assert kept(one) == kept(of_all)
    for op_class in OpClass:
        assert one.track(op_class).last_ok_ns == of_all.track(op_class).last_ok_ns
    assert one.windows() == of_all.windows()
    assert [(event.kind, event.data) for event in events_one] == [(event.kind, event.data) for event in events_all]
    if outage_one is not None and outage_all is not None:
        assert outage_one.t1_ns == outage_all.t1_ns
        assert outage_one.t6_ns(now[0]) == outage_all.t6_ns(now[0])
        assert outage_one.longest_gap(now[0]) == outage_all.longest_gap(now[0])


async def test_a_stretch_without_success_is_one_only_where_no_worker_had_any():
    for others_ms, longest in (((), (10, 500)), ((200,), (200, 500)), ((200, 240, 460), (240, 460))):
        of_all = recorder([], lambda: START)
        folding = Folding(of_all, Ledger(1), Registers(1))
        one, other = Telling(0, 2), Telling(1, 2)
        for index in range(2):
            folding.join(index, Share(index, 2))
        for worker, times_ms in ((one, (0, 10, 500, 510)), (other, others_ms)):
            for ms in times_ms:
                at = worker.offset.theirs(START + ms * MS)
                record(worker.recorder, OpClass.READ, Outcome.OK, at, at, at)
        at = one.offset.theirs(START + 300 * MS)
        record(one.recorder, OpClass.READ, Outcome.FAILED, at - 200 * MS, at, at)
        for index, worker in enumerate((one, other)):
            folding.take(index, worker.answer(ended=True), worker.offset, 0)
        await folding.fold()
        (window,) = of_all.windows()
        assert window.longest_gap == (START + longest[0] * MS, START + longest[1] * MS)


async def test_what_depends_on_order_waits_for_the_slowest_and_counts_do_not():
    now, events = [START], []
    of_all = recorder(events, lambda: now[0])
    folding = Folding(of_all, Ledger(1), Registers(1))
    early, late = Telling(0, 2), Telling(1, 2)
    for index, worker in enumerate((early, late)):
        folding.join(index, Share(index, 2))
        folding.take(index, worker.answer(), worker.offset, 0)
    early.now_ns = START + 500 * MS
    at = early.offset.theirs(START + 400 * MS)
    record(early.recorder, OpClass.WRITE, Outcome.FAILED, at, at, at)
    folding.take(0, early.answer(), early.offset, 0)
    await folding.fold()
    (tally,) = of_all.operations()
    assert (tally.attempted, tally.in_flight, events) == (1, 1, [])
    late.now_ns = START + 450 * MS
    folding.take(1, late.answer(), late.offset, 0)
    await folding.fold()
    assert (tally.in_flight, len(events)) == (0, 1)


async def test_a_lost_worker_holds_nobody_up():
    of_all = recorder([], lambda: START)
    folding = Folding(of_all, Ledger(1), Registers(1))
    here, gone = Telling(0, 2), Telling(1, 2)
    for index, worker in enumerate((here, gone)):
        folding.join(index, Share(index, 2))
        for op_class in OpClass:
            worker.recorder.tally("load", op_class.value, op_class).attempted += 2
            at = worker.offset.theirs(START)
            record(worker.recorder, op_class, Outcome.FAILED, at, at, at)
            record(worker.recorder, op_class, Outcome.OK, at, at, at)
        folding.take(index, worker.answer(), worker.offset, 0)
    assert folding.watermark_ns == START
    here.now_ns = START + 900 * MS
    folding.take(0, here.answer(), here.offset, 0)
    assert folding.lost(1, START + 700 * MS) == 4
    assert folding.watermark_ns == START + 900 * MS
    ended = {tally.op_class: dict(tally.ended) for tally in of_all.tallies}
    assert ended[OpClass.WRITE] == ended[OpClass.READ] == {Outcome.UNKNOWN: 2}
    assert ended[OpClass.CONNECT] == {Outcome.FAILED: 2}, "a connection that was never made had no effect"
    assert {tally.response_bad.max_us for tally in of_all.tallies} == {700_000}
    assert of_all.windows() == (), "that a generator dies says nothing about the cluster"
    await folding.fold()
    assert {tally.in_flight for tally in of_all.tallies} == {2}, "those of the worker that is there"


async def test_acknowledgements_of_two_servers_are_split_brain_only_if_the_clocks_can_vouch_for_it():
    for doubt_ns, overlaps in ((0, 1), (3 * MS, 0)):
        ledger = Ledger(1)
        folding = Folding(recorder([], lambda: START), ledger, Registers(1))
        old, new = Telling(0, 2), Telling(1, 2)
        for index in range(2):
            folding.join(index, Share(index, 2))
        rows = [old.ledger.attempt(), new.ledger.attempt(), old.ledger.attempt()]
        assert rows == [1, 2, 3]
        at = START + 10 * MS
        old.ledger.acknowledge(1, "10.0.0.1/00000001", 5, old.offset.theirs(at), old.offset.theirs(at + 1))
        new.ledger.acknowledge(2, "10.0.0.2/00000002", 5, new.offset.theirs(at + 5), new.offset.theirs(at + MS))
        old.ledger.acknowledge(
            3, "10.0.0.1/00000001", 6, old.offset.theirs(at + 2 * MS), old.offset.theirs(at + 4 * MS)
        )
        for index, worker in enumerate((old, new)):
            folding.take(index, worker.answer(ended=True), worker.offset, doubt_ns)
        await folding.fold()
        assert len(list(ledger.servings.overlaps())) == overlaps
        assert ledger.count(Outcome.OK) == 3
        assert ledger.acknowledgement(3).done_ns == at + 4 * MS


async def test_what_comes_before_the_coordinators_own_turn_is_kept_for_it():
    warm_up, measured = recorder([], lambda: START), recorder([], lambda: START)
    folding = Folding(warm_up, Ledger(1), Registers(1))
    worker = Telling(0, 1)
    folding.join(0, Share(0, 1))
    worker.recorder.tally("load", "read", OpClass.READ).attempted += 3
    answer = worker.answer()
    early = replace(answer, gains=tuple(replace(gain, epoch=1) for gain in answer.gains))
    folding.take(0, early, worker.offset, 0)
    assert (warm_up.offered, measured.offered) == (0, 0)
    folding.record_in(measured)
    folding.take(0, worker.answer(), worker.offset, 0)
    assert (warm_up.offered, measured.offered, folding.attempted(0)) == (0, 3, 3)
