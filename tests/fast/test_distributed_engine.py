"""A load that several workers carry, on virtual time: the same load, counted once, whatever becomes of a worker."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import cycle, pairwise

import pytest
from crews import FakeCrew
from fakes import FakeServer

import chaosbench
from chaosbench.clock import loop_clock
from chaosbench.distributed.engine import RemoteEngine
from chaosbench.distributed.members import SILENCE_S
from chaosbench.distributed.share_run import UNASKED_S, ShareRun
from chaosbench.distributed.wire import Plan, Question, StreamPlan
from chaosbench.engine.engine import Engine
from chaosbench.errors import ClusterUnavailable, PreflightError
from chaosbench.events import Event, Kind
from chaosbench.ledger import Ledger
from chaosbench.model.scenario import StreamSettings, Windows
from chaosbench.outcome import OpClass, Outcome
from chaosbench.recorder.recorder import Recorder
from chaosbench.recorder.samples import Samples
from chaosbench.scenarios.report import counted
from chaosbench.share import Share
from chaosbench.staleness import Registers
from chaosbench.workload import Context, LedgerWorkload, StaleReads, WorkloadSettings

pytestmark = pytest.mark.looptime(noop_cycles=0)


class Rig:
    """A remote engine with one stream against a fake server."""

    def __init__(
        self, workers: int = 2, workload: WorkloadSettings | None = None, needs_all: bool = False, **stream: object
    ) -> None:
        self.clock = loop_clock()
        self.server = FakeServer(self.clock)
        self.crew = FakeCrew(workers, self.clock)
        self.ledger, self.registers = Ledger(run=7), Registers(run=7)
        self.events: list[Event] = []
        self.lost: list[tuple[int, str, str, int]] = []
        self.settings = StreamSettings(**stream)  # type: ignore[arg-type]
        self.workload = workload or LedgerWorkload()
        self.recorder = self.fresh()
        self.engine = RemoteEngine(
            Recorder(self.clock, Windows(), lambda event: None),
            self.clock,
            self.crew,
            self.planned,
            connections=[self.settings.workers],
            shareable=(self.settings.workers, "the connections of 'load'"),
            ledger=self.ledger,
            registers=self.registers,
            patience=15.0,
            on_lag=lambda lag: None,
            on_lost=lambda *what: self.lost.append(what),
            needs_all=needs_all,
        )

    def fresh(self) -> Recorder:
        return Recorder(self.clock, Windows(), self.events.append, Samples())

    def planned(self, share: Share) -> Plan:
        stream = StreamPlan(name="load", settings=self.settings, workload=self.workload, connect=self.server.connect)
        return Plan(
            version=chaosbench.__version__,
            share=share,
            streams=(stream,),
            ledger_run=7,
            seed="seed",
            scale=1,
            outages=True,
            samples=True,
        )

    @asynccontextmanager
    async def loaded(self) -> AsyncIterator[None]:
        async with self.engine.running():
            await self.engine.connected()
            self.engine.begin()
            await asyncio.sleep(1)
            await self.engine.turn()
            self.recorder = self.fresh()
            self.engine.record_in(self.recorder)
            self.ledger.started_ns = self.recorder.started_ns
            self.registers.begin()
            yield
        self.recorder.finish()

    @property
    def counts(self):
        return counted(self.recorder.operations())

    def law_holds(self) -> None:
        counts = self.counts
        assert counts.attempted == counts.ok + counts.failed + counts.unknown + counts.shed + counts.in_flight
        assert counts.in_flight >= 0


async def test_the_workers_together_are_the_load_that_one_process_would_be():
    rig = Rig(workers=3, rate="100/s", connections=7)
    for number, member in enumerate(rig.crew.members):
        member.latency = 0.002 * number  # some hear of everything later than others
    async with rig.loaded():
        begun_ns = rig.recorder.started_ns
        await asyncio.sleep(10)
        rig.law_holds()
    counts = rig.counts
    assert counts.in_flight == 0
    assert counts.attempted == counts.ok == pytest.approx(1000, abs=15)
    # Arrival by arrival a hundredth of a second apart, by the coordinator's clock, whoever had them.
    intended = sorted(sample[3] - begun_ns for sample in rig.recorder.samples if sample[0].operation == "insert")
    steps = {round((after - before) / 1e6) for before, after in pairwise(intended)}
    assert steps == {10}
    assert rig.recorder.windows() == ()
    assert len(rig.ledger) == rig.ledger.count(Outcome.OK) == len(rig.server.applied)
    assert rig.ledger.check("pg1", (args[1] for _, args in rig.server.applied)).lost == ()  # type: ignore[misc]


async def test_every_connection_is_some_workers_and_no_two_workers_have_the_same():
    rig = Rig(workers=3, clients=8, think="100ms")
    async with rig.loaded():
        assert rig.engine.workers == rig.engine.connected_count() == len(rig.server.connections) == 8
        await asyncio.sleep(2)
    workers = {sample[6] for sample in rig.recorder.samples}
    assert workers == set(range(8))
    assert [one.connections for one in rig.engine.report()] == [3, 3, 2]
    assert sum(one.attempted for one in rig.engine.report()) == rig.counts.attempted


async def test_clocks_an_hour_apart_are_aligned_within_what_is_claimed():
    rig = Rig(workers=2, rate="50/s", connections=2)
    async with rig.loaded():
        await asyncio.sleep(20)
    for number, one in enumerate(rig.engine.report(), start=1):
        truth_s = number * 3_600.123_456_789
        assert abs(one.clock_offset_s - truth_s) * 1e3 <= one.clock_uncertainty_ms + 1e-3
        assert 0 < one.clock_uncertainty_ms <= 2.0


async def test_answers_that_get_lost_are_asked_for_again_and_counted_once():
    rig = Rig(workers=2, rate="100/s", connections=4)
    for member in rig.crew.members:
        turn = cycle((False, True, False, False, True))
        member.loses = lambda turn=turn: next(turn)
    async with rig.loaded():
        await asyncio.sleep(10)
    assert rig.lost == []
    assert rig.counts.attempted == rig.counts.ok == pytest.approx(1000, abs=15)
    assert sum(len(q.orders) for m in rig.crew.members for q in m.questions if q.orders) > 6, "orders were repeated"
    assert len(rig.ledger) == len(rig.server.applied) == rig.ledger.count(Outcome.OK)


async def test_an_outage_is_one_for_all_workers():
    rig = Rig(workers=2, rate="100/s", connections=4, timeout="1s")
    async with rig.loaded():
        await asyncio.sleep(3)
        rig.server.behaviour = rig.server.freezes
        t0_ns = rig.clock.now()
        outage = rig.recorder.watch(t0_ns)
        await asyncio.sleep(2)
        rig.server.behaviour = rig.server.answers
        thawed_ns = rig.clock.now()
        await asyncio.sleep(8)
        rig.law_holds()
    (window,) = (one for one in rig.recorder.windows() if one.op_class is OpClass.WRITE)
    assert window.start_ns == pytest.approx(t0_ns, abs=25_000_000)
    assert outage.t1_ns == pytest.approx(t0_ns, abs=25_000_000)
    gap = outage.longest_gap(rig.clock.now())
    assert gap.from_ns == pytest.approx(t0_ns, abs=25_000_000)
    assert gap.to_ns == outage.t6_ns(rig.clock.now())
    assert gap.to_ns > thawed_ns
    assert window.longest_gap is not None
    assert window.longest_gap[1] == gap.to_ns
    opened = [event for event in rig.events if event.kind is Kind.WINDOW_OPENED and event.data["class"] == "write"]
    assert len(opened) == 1


async def test_what_began_in_the_warm_up_ends_there():
    rig = Rig(workers=2, clients=6, timeout="3s")
    asyncio.get_running_loop().call_later(0.7, lambda: setattr(rig.server, "behaviour", rig.server.freezes))
    async with rig.loaded():
        assert rig.counts.attempted == 0, "all clients are busy with what they began before"
        await asyncio.sleep(1)
        rig.law_holds()
        await asyncio.sleep(2.5)
        rig.law_holds()
        assert rig.counts.unknown == 0
        rig.server.behaviour = rig.server.answers
        await asyncio.sleep(4)
    rig.law_holds()
    assert rig.counts.in_flight == 0
    assert rig.recorder.started_ns <= min(sample[3] for sample in rig.recorder.samples)


async def test_a_killed_worker_is_told_and_what_it_had_in_flight_is_unknown():
    rig = Rig(workers=2, clients=6, timeout="30s")
    async with rig.loaded():
        await asyncio.sleep(2)
        rig.server.behaviour = rig.server.freezes
        await asyncio.sleep(0.5)
        rig.crew.members[0].kill()
        await asyncio.sleep(1)
        assert rig.lost == [(0, "fake://0", "its process is gone", 3)]
        rig.law_holds()
        assert not rig.engine.broken.is_set()
        rig.server.behaviour = rig.server.answers
        before = rig.counts.ok
        for connection in tuple(rig.server.connections):
            connection.terminate()
        await asyncio.sleep(2)
        assert rig.counts.ok > before, "the other worker goes on"
    counts = rig.counts
    assert counts.in_flight == 0
    (insert,) = rig.recorder.operations()
    assert insert.reasons[Outcome.UNKNOWN, "worker_lost"] == 3
    lost, other = rig.engine.report()
    assert (lost.lost_why, lost.in_flight_when_lost) == ("its process is gone", 3)
    assert lost.lost_at_s == pytest.approx(2.5, abs=0.2)
    assert other.lost_at_s is None
    # Its rows that never ended are unknown to the ledger.
    assert rig.ledger.count(Outcome.UNKNOWN) >= 3


async def test_a_row_that_a_killed_worker_never_told_of_is_no_unexpected_one():
    rig = Rig(workers=2, clients=2)
    async with rig.loaded():
        await asyncio.sleep(1)
        rig.crew.members[1].kill()
        await asyncio.sleep(1)
    theirs = 2 + 2 * 10_000
    check = rig.ledger.check("pg1", [theirs])
    assert (check.recovered, check.unexpected) == ((theirs,), ())
    assert rig.ledger.check("pg1", [theirs - 1]).unexpected == (theirs - 1,), "the other one is accountable"


async def test_a_silent_worker_is_given_up_and_does_not_go_on_for_ever():
    rig = Rig(workers=2, rate="20/s", connections=2)
    async with rig.loaded():
        await asyncio.sleep(1)
        member = rig.crew.members[1]
        member.silent = True
        await asyncio.sleep(SILENCE_S + 5)
        assert [what[0] for what in rig.lost] == [1]
        assert "silent" in rig.lost[0][2]
        await asyncio.sleep(UNASKED_S)
        assert member.task is not None
        assert member.task.done(), "nobody asks it: it has ended its load"
        rig.law_holds()
        assert len(rig.server.connections) == 1


async def test_the_load_is_broken_when_all_are_needed_or_none_is_left():
    needed = Rig(workers=2, clients=2, needs_all=True)
    async with needed.loaded():
        needed.crew.members[0].kill()
        await asyncio.sleep(1)
        assert needed.engine.broken.is_set()
    alone = Rig(workers=1, clients=2)
    async with alone.loaded():
        alone.crew.members[0].kill()
        await asyncio.sleep(1)
        assert alone.engine.broken.is_set()
    assert alone.counts.in_flight == 0


async def test_an_error_in_a_worker_is_told_and_not_hung_upon():
    rig = Rig(workers=2, clients=2)
    async with rig.loaded():
        rig.server.behaviour = rig.server.fails(ZeroDivisionError("a defect"))
        await asyncio.sleep(1)
        assert len(rig.lost) == 2
        assert all("ZeroDivisionError" in what[2] for what in rig.lost)
        assert rig.engine.broken.is_set()


async def test_a_share_that_is_begun_anew_connects_nobody_and_ends():
    rig = Rig(workers=1, clients=2)
    anew = ShareRun(rig.planned(Share()), rig.clock)
    running = asyncio.create_task(anew.run())
    await asyncio.sleep(1)
    with pytest.raises(OSError, match="begun anew"):
        anew.ask(Question(17))
    await asyncio.sleep(UNASKED_S + 1)
    assert running.done()
    assert rig.server.connects == 0


async def test_no_worker_without_anything_to_do():
    rig = Rig(workers=3, clients=2)
    with pytest.raises(PreflightError, match="3 workers cannot share the connections of 'load': write 'workers: 2'"):
        async with rig.loaded():
            pass


async def test_a_worker_lost_before_the_load_begins_ends_the_run():
    rig = Rig(workers=2, clients=2)
    rig.server.accepts = False
    with pytest.raises(ClusterUnavailable, match=r"worker 1 .* was lost: its process is gone"):
        async with rig.engine.running():
            rig.crew.members[1].kill()
            await rig.engine.connected()


async def test_registers_are_shared_out_and_what_reads_find_is_added_up():
    rig = Rig(workers=2, workload=StaleReads(registers=5), rate="200/s", connections=4)
    rig.server.row = lambda sql, args: ("10.0.0.1", 0)  # type: ignore[method-assign]
    async with rig.loaded():
        await asyncio.sleep(5)
    reads = next(tally for tally in rig.recorder.operations() if tally.op_class is OpClass.READ)
    assert rig.registers.reads.total() == reads.ok
    assert rig.registers.stale.total() == rig.registers.ages.total > 0
    used = Counter(args[1] for sql, args in rig.server.applied if "INSERT" in sql)
    assert set(used) == set(range(5))


async def test_one_process_that_is_told_a_share_has_the_clients_of_the_whole():
    clock = loop_clock()
    whole = Engine(Recorder(clock, Windows(), lambda event: None), clock, "seed", lambda lag: None)
    halves = [
        Engine(Recorder(clock, Windows(), lambda event: None), clock, "seed", lambda lag: None, Share(n, 2))
        for n in range(2)
    ]
    for engine in (whole, *halves):
        for name in ("a", "b"):
            settings = StreamSettings(clients=5)
            workload = LedgerWorkload().start(Context(scale=1, ledger=Ledger(run=1)))
            engine.add(name, settings, workload, FakeServer(clock).connect)
    poisson = StreamSettings(rate="100/s", arrivals="poisson")  # type: ignore[arg-type]
    first = {next(engine._arrival_times("a", poisson, 100.0)) for engine in (whole, *halves)}
    assert len(first) == 3, "chance is another one in each share"
    numbers = [[w.number for s in one._streams for w in s.workers] for one in (whole, *halves)]
    draws = [{w.number: w._rng.random() for s in one._streams for w in s.workers} for one in (whole, *halves)]
    assert sorted(numbers[1] + numbers[2]) == numbers[0] == list(range(10))
    assert draws[0] == draws[1] | draws[2], "each client makes the same choices wherever it runs"
