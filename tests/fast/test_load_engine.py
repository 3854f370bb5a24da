"""The engine on virtual time: every operation accounted for, nothing hangs, nothing is hidden."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import asyncpg
import pytest
from fakes import READ, WRITE, FakeServer, FakeWorkload, in_virtual_time
from hypothesis import given, settings
from hypothesis import strategies as st

from chaosbench.clock import Clock, loop_clock
from chaosbench.engine.engine import Engine
from chaosbench.errors import ClusterUnavailable
from chaosbench.model.report import Counts
from chaosbench.model.scenario import Stage, StreamSettings, Windows
from chaosbench.outcome import OpClass, Outcome
from chaosbench.recorder.recorder import Recorder
from chaosbench.recorder.samples import Samples
from chaosbench.scenarios.report import counted, latency

pytestmark = pytest.mark.looptime(noop_cycles=0)


class Rig:
    """An engine with one stream against a fake server."""

    def __init__(self, workload: FakeWorkload | None = None, seed: str = "seed", **stream: object) -> None:
        self.clock: Clock = loop_clock()
        self.server = FakeServer(self.clock)
        self.workload = workload or FakeWorkload()
        self.samples = Samples()
        self.recorder = Recorder(self.clock, Windows(), lambda event: None, self.samples)
        self.engine = Engine(self.recorder, self.clock, seed, lambda lag: None)
        self.engine.add("load", StreamSettings(**stream), self.workload, self.server.connect)  # type: ignore[arg-type]

    @asynccontextmanager
    async def loaded(self) -> AsyncIterator[None]:
        async with self.engine.running():
            await self.engine.connected()
            self.engine.begin()
            yield

    def tally(self, operation: str):
        return next(t for t in self.recorder.tallies if t.operation == operation)

    def law_holds(self) -> None:
        """attempted = ok + failed + unknown + shed + in flight, with the engine's own count of the last."""
        counts = counted(self.recorder.operations())
        assert counts.in_flight == self.engine.in_flight
        ended = counts.ok + counts.failed + counts.unknown + counts.shed
        assert counts.attempted == ended + self.engine.in_flight


async def test_open_loop_offers_the_rate_whatever_the_server_does():
    rig = Rig(rate="100/s", connections=4, deadline="1s")
    async with rig.loaded():
        await asyncio.sleep(10)
        rig.server.behaviour = rig.server.freezes
        await asyncio.sleep(10)
        rig.law_holds()
        assert counted(rig.recorder.operations()).attempted == pytest.approx(2000, abs=2)


async def test_response_time_counts_from_the_intended_start():
    rig = Rig(FakeWorkload((READ,)), rate="100/s", connections=1, deadline="60s", timeout="60s")
    async with rig.loaded():
        await asyncio.sleep(5)
        frozen = asyncio.Event()
        rig.server.behaviour = frozen.wait  # type: ignore[assignment]
        await asyncio.sleep(2)
        frozen.set()
        rig.server.behaviour = rig.server.answers
        await asyncio.sleep(3)
    figures = latency(rig.recorder.operations())
    # One operation in flight saw the stall, but two hundred clients waited for it: up to 2 s, 1 s in the median.
    assert figures.service.p99 < 10
    assert figures.response.max == pytest.approx(2000, rel=0.02)
    assert figures.response.p90 == pytest.approx(1000, rel=0.15)


async def test_a_frozen_server_ends_in_outcomes_within_the_timeout():
    rig = Rig(clients=8, timeout="2s")
    async with rig.loaded():
        await asyncio.sleep(1)
        rig.server.behaviour = rig.server.freezes
        frozen_at = rig.clock.now()
        await asyncio.sleep(2.1)
        assert sum(counted(rig.recorder.operations()).__getattribute__(k) for k in ("failed", "unknown")) == 8
        rig.law_holds()
    # Reads had no effect; writes may have had one.
    assert set(rig.tally("read").reasons) <= {(Outcome.FAILED, "timeout")}
    assert set(rig.tally("write").reasons) <= {(Outcome.UNKNOWN, "timeout")}
    window = rig.recorder.windows()[0]
    assert window.start_ns == pytest.approx(frozen_at, abs=5_000_000)


async def test_leaving_is_bounded_when_everything_is_frozen():
    rig = Rig(rate="50/s", connections=8, timeout="2s", deadline="3s", connect_timeout="1s")
    async with rig.loaded():
        await asyncio.sleep(1)
        rig.server.behaviour = rig.server.freezes
        await asyncio.sleep(1)
        left_at = rig.clock.now()
    assert rig.clock.now() - left_at < 8e9
    counts = counted(rig.recorder.operations())
    assert counts.in_flight == 0 == rig.engine.in_flight
    assert not rig.server.connections, "connections are closed"


async def test_backlog_and_deadline_shed_and_say_so():
    rig = Rig(FakeWorkload((READ,)), rate="100/s", connections=1, backlog=10, deadline="1s", timeout="4s")
    async with rig.loaded():
        rig.server.behaviour = rig.server.freezes
        await asyncio.sleep(3)
        rig.law_holds()
    reasons = rig.tally("read").reasons
    assert reasons[Outcome.SHED, "backlog_full"] > 100
    assert reasons[Outcome.SHED, "deadline"] >= 10
    # The age of what was shed is kept: the deadline's own, at least.
    assert rig.tally("read").response_bad.max_us >= 1_000_000


async def test_connections_come_back_with_jitter_and_are_counted_apart():
    rig = Rig(clients=20)
    async with rig.loaded():
        await asyncio.sleep(1)
        rig.server.dies()
        await asyncio.sleep(5)
        attempts = rig.tally("connect").ended[Outcome.FAILED]
        assert 20 < attempts < 20 * 30, "tried again, but not in a tight loop"
        rig.server.accepts = True
        await asyncio.sleep(2)
        assert rig.engine.connected_count() == 20
        rig.law_holds()
    window = next(w for w in rig.recorder.windows() if w.op_class is OpClass.CONNECT)
    assert window.duration_ns == pytest.approx(5e9, rel=0.25)


async def test_a_read_only_answer_replaces_the_session():
    rig = Rig(FakeWorkload((WRITE,)), clients=1)
    async with rig.loaded():
        await asyncio.sleep(0.1)
        rig.server.behaviour = rig.server.fails(asyncpg.ReadOnlySQLTransactionError("demoted"))
        await asyncio.sleep(0.1)
        rig.server.behaviour = rig.server.answers
        await asyncio.sleep(1)
    assert rig.tally("write").reasons[Outcome.FAILED, "25006"] >= 1
    assert rig.server.connects > 1


async def test_a_unique_violation_on_a_retry_proves_the_first_attempt():
    rig = Rig(FakeWorkload((WRITE,), retries=1, rows=True), clients=1, timeout="1s")
    async with rig.loaded():
        rig.server.behaviour = rig.server.freezes
        await asyncio.sleep(0.9)
        rig.server.behaviour = rig.server.fails(asyncpg.UniqueViolationError("duplicate key"))
        await asyncio.sleep(0.105)
        rig.law_holds()
        await asyncio.sleep(0.5)
        rig.server.behaviour = rig.server.answers
        await asyncio.sleep(0.1)
    assert rig.workload.settled[1] is Outcome.OK
    # On a first attempt the same answer means that nothing was written.
    assert rig.tally("write").reasons[Outcome.FAILED, "23505"] > 0
    assert rig.tally("write").ended[Outcome.UNKNOWN] == 0


async def test_warm_up_is_not_in_the_figures():
    rig = Rig(rate="100/s", connections=4)
    async with rig.loaded():
        await asyncio.sleep(5)
        fresh = Recorder(rig.clock, Windows(), lambda event: None)
        rig.engine.record_in(fresh)
        await asyncio.sleep(2)
    assert counted(fresh.operations()).attempted == pytest.approx(200, abs=2)
    assert counted(rig.recorder.operations()).in_flight == 0, "what began in the warm-up ended there"


async def test_ramps_follow_the_stages():
    rig = Rig(FakeWorkload((READ,)), rate="10/s", stages=(Stage(over="10s", to="100/s"),), connections=8)
    async with rig.loaded():
        await asyncio.sleep(20)
    assert counted(rig.recorder.operations()).attempted == pytest.approx(10 * 55 + 10 * 100, rel=0.01)


@pytest.mark.parametrize("arrivals", ["constant", "poisson"])
async def test_one_seed_gives_the_same_operations(arrivals: str):
    async def picks(seed: str) -> list[tuple[str, tuple[object, ...]]]:
        rig = Rig(seed=seed, rate="50/s", arrivals=arrivals, connections=8)
        async with rig.loaded():
            await asyncio.sleep(3)
        return rig.server.log

    assert await picks("a") == await picks("a")
    assert await picks("a") != await picks("b")


async def test_thousands_in_flight_are_all_accounted_for():
    rig = Rig(FakeWorkload((READ,)), clients=3000, timeout="30s", connect_timeout="60s")
    rig.server.latency = 0.2
    async with rig.loaded():
        await asyncio.sleep(0.5)
        released = asyncio.Event()
        rig.server.behaviour = released.wait  # type: ignore[assignment]
        await asyncio.sleep(1)
        assert rig.engine.in_flight == 3000
        released.set()
        rig.server.behaviour = rig.server.answers
        await asyncio.sleep(0.5)
        rig.law_holds()


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["answers", "freezes", "dies", "back", "readonly", "deadlock", "shutdown", "odd"]),
        st.floats(0.001, 0.5),
    ),
    min_size=1,
    max_size=8,
)


@given(steps=STEPS, closed=st.booleans(), cancel=st.booleans(), seed=st.integers(0, 2**32))
@settings(max_examples=25, deadline=None)
def test_the_conservation_law_holds_at_every_instant(
    steps: list[tuple[str, float]], closed: bool, cancel: bool, seed: int
):
    in_virtual_time(_chaos(steps, closed, cancel, seed))


async def _chaos(steps: list[tuple[str, float]], closed: bool, cancel: bool, seed: int) -> None:
    model: dict[str, object] = {"clients": 5} if closed else {"rate": "200/s", "connections": 5, "backlog": 20}
    rig = Rig(FakeWorkload(retries=1, rows=True), seed=str(seed), timeout="0.3s", deadline="0.2s", **model)  # type: ignore[arg-type]
    rig.server.latency = 0.01
    errors: dict[str, BaseException] = {
        "readonly": asyncpg.ReadOnlySQLTransactionError("demoted"),
        "deadlock": asyncpg.DeadlockDetectedError("deadlock"),
        "shutdown": asyncpg.AdminShutdownError("terminating"),
        "odd": OSError("odd"),
    }

    def apply(step: str) -> None:
        if step == "dies":
            rig.server.dies()
        elif step == "back":
            rig.server.accepts = True
        elif step in errors:
            rig.server.behaviour = rig.server.fails(errors[step])
        else:
            rig.server.behaviour = getattr(rig.server, step)

    async def load() -> None:
        async with rig.loaded():
            for step, seconds in steps:
                apply(step)
                await asyncio.sleep(seconds)

    tallies = tuple(rig.recorder.operations())

    def law_holds() -> None:
        # As Rig.law_holds, in a form quick enough for tens of thousands of callbacks.
        under_way = sum(tally.attempted - tally.ok - sum(tally.ended.values()) for tally in tallies)
        assert under_way == rig.engine.in_flight

    with _after_every_callback(law_holds):
        task = asyncio.create_task(load())
        if cancel:
            await asyncio.sleep(sum(seconds for _, seconds in steps) / 2)
            task.cancel()
        await asyncio.gather(task, return_exceptions=cancel)
    counts = counted(rig.recorder.operations())
    assert counts.in_flight == 0 == rig.engine.in_flight
    assert counts.attempted == counts.ok + counts.failed + counts.unknown + counts.shed
    # Every id that a write was given has an end, and no end is given to an id that was not.
    assert set(rig.workload.settled) == set(range(1, rig.workload.given + 1))
    ends = Counter(rig.workload.settled.values())
    writes = rig.tally("write") if rig.workload.given else None
    if writes is not None:
        assert ends[Outcome.OK] == writes.ok
        assert ends[Outcome.UNKNOWN] == writes.ended[Outcome.UNKNOWN]
    _each_arrived_and_ended_once(rig.samples, counts, closed=closed)


def _each_arrived_and_ended_once(samples: Samples, counts: Counts, *, closed: bool) -> None:
    """Sums can agree although one operation was counted twice and another never; the rows show each by itself."""
    ended = [row for row in samples if row[0].op_class is not OpClass.CONNECT]
    assert Counter(row[1].value for row in ended) == Counter(
        {name: n for name in ("ok", "failed", "unknown", "shed") if (n := getattr(counts, name))}
    )
    assert all(row[3] <= (row[4] or row[3]) <= row[5] for row in ended), "intended, sent, done"
    ids = [row[8] for row in ended if row[8]]
    assert len(ids) == len(set(ids))
    if not closed and ended:
        dues = sorted(row[3] for row in ended)
        schedule = [n * 5_000 for n in range(len(dues))]
        assert [round((due - dues[0]) / 1000) for due in dues] == schedule, "each arrival of 200/s, once"


@contextmanager
def _after_every_callback(check: Callable[[], None]) -> Iterator[None]:
    """Check whenever one callback of the loop has run: no other code can see the state at any other instant."""
    run = asyncio.events.Handle._run  # type: ignore[attr-defined]
    broken: list[AssertionError] = []

    def checked(handle: asyncio.Handle) -> None:
        run(handle)
        try:
            check()
        except AssertionError as error:
            broken.append(error)

    asyncio.events.Handle._run = checked  # type: ignore[attr-defined]
    try:
        yield
    finally:
        asyncio.events.Handle._run = run  # type: ignore[attr-defined]
    if broken:
        raise broken[0]


async def test_an_error_in_the_body_comes_out_as_itself():
    rig = Rig(clients=2)
    with pytest.raises(ClusterUnavailable):
        async with rig.loaded():
            raise ClusterUnavailable("gone")
    assert rig.engine.in_flight == 0
