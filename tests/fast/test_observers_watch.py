"""When the observers look quickly, what a fault makes of them, and what becomes of one that fails; on virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import UTC, datetime

import pytest

from chaosbench.clock import NS, Anchor, Clock, loop_clock
from chaosbench.cluster.fake import FakeCluster
from chaosbench.model.cluster import Happening
from chaosbench.model.observation import DcsView, EngineEvent, NodeChange, NodeState, ProxyChange, ProxyState
from chaosbench.model.scenario import Windows
from chaosbench.observers.engine import ContainerEvents
from chaosbench.observers.pace import Pace
from chaosbench.observers.record import Record
from chaosbench.observers.tail import Tail
from chaosbench.observers.watch import AGREE_S, SETTLED_S, Sources, Watch
from chaosbench.outcome import OpClass
from chaosbench.recorder.recorder import Recorder

pytestmark = pytest.mark.looptime(noop_cycles=0)

WHOLE = {
    "pg1": NodeState(reachable=True, primary=True, timeline=1),
    "pg2": NodeState(reachable=True, timeline=1, streaming=True),
}
OPEN = ProxyState(True, "pg1", frozenset(WHOLE))


# --- the pace


async def test_quick_ticks_fall_on_multiples_of_the_period():
    clock = loop_clock()
    pace = Pace(clock)
    pace.hasten()
    await asyncio.sleep(0.0034)
    ticks = []
    for _ in range(3):
        await pace.tick(0.01)
        ticks.append(clock.now() / 1e6)
    assert ticks == pytest.approx([10, 20, 30], abs=0.01)


async def test_a_slow_tick_ends_when_it_gets_quick():
    clock = loop_clock()
    pace = Pace(clock)
    start_ns = clock.now()
    await pace.tick(0.01)
    assert clock.now() - start_ns == pytest.approx(NS)
    asyncio.get_running_loop().call_later(0.3, pace.hasten)
    await pace.tick(0.01)
    assert clock.now() - start_ns == pytest.approx(1.3 * NS)


async def test_questions_are_counted_apart_and_so_is_the_time():
    pace = Pace(loop_clock())
    for quick, seconds, questions in ((False, 10, 10), (True, 2, 200), (False, 10, 10), (True, 3, 300)):
        (pace.hasten if quick else pace.relax)()
        for _ in range(questions):
            pace.asked("x")
        await asyncio.sleep(seconds)
    assert pace.quick_ns == pytest.approx(5 * NS)
    assert pace.rates("x") == (100.0, 1.0)
    assert pace.rates("nobody") == (0.0, 0.0)


# --- the watch


class Rig:
    """A watch over a cluster that is whole until the test says otherwise."""

    def __init__(self, **runs: Callable[[], Awaitable[None]]) -> None:
        self.clock = loop_clock()
        self.record = Record()
        self.pace = Pace(self.clock)
        self.watch = Watch(
            Sources(
                pace=self.pace,
                record=self.record,
                nodes=tuple(WHOLE),
                runs=runs,  # type: ignore[arg-type]
                missing={"dcs": "no port"},
                view=self.view,
            ),
            self.clock,
        )
        self.nodes(**WHOLE)
        self.proxy(OPEN)

    def nodes(self, **states: NodeState) -> None:
        now_ns = self.clock.now()
        for name, state in states.items():
            self.record.node(NodeChange(now_ns, now_ns, name, state))

    def proxy(self, state: ProxyState) -> None:
        self.record.proxy.append(ProxyChange(self.clock.now(), self.clock.now(), state))

    async def view(self) -> DcsView:
        await asyncio.sleep(0.1)
        return DcsView(self.clock.now(), 17, "etcd1")


async def test_quick_from_before_the_fault_until_its_consequences_are_over():
    rig = Rig()
    async with rig.watch.running():
        await asyncio.sleep(1)
        assert not rig.pace.quick
        fault = rig.watch.before()
        assert rig.pace.quick
        await rig.watch.look(fault)
        assert fault.dcs is not None
        assert (fault.dcs.lease_ttl_s, fault.dcs.leader) == (17, "etcd1")
        rig.watch.injecting(fault, rig.clock.now())
        await asyncio.sleep(20)
        assert rig.pace.quick, "it is still in place, though nothing is to be seen of it"
        rig.nodes(pg2=NodeState())
        rig.watch.over(fault)
        await asyncio.sleep(30)
        assert rig.pace.quick, "healed, and not whole"
        rig.nodes(**WHOLE)
        await asyncio.sleep(SETTLED_S - 1)
        rig.proxy(ProxyState())
        await asyncio.sleep(1)
        rig.proxy(OPEN)
        back_ns = rig.clock.now()
        await asyncio.sleep(SETTLED_S + 1)
        assert not rig.pace.quick
        assert fault.closed_ns is not None
        assert fault.closed_ns - back_ns == pytest.approx(SETTLED_S * NS, abs=0.3 * NS)


async def test_observers_that_are_kept_waiting_get_some_time_to_see_that_it_is_whole():
    rig = Rig()
    async with rig.watch.running():
        start_ns = rig.clock.now()
        rig.proxy(ProxyState())
        await rig.watch.agree()
        assert rig.clock.now() == start_ns, "no fault, nothing to wait for"
        rig.watch.injecting(rig.watch.before(), rig.clock.now())
        asyncio.get_running_loop().call_later(3, lambda: rig.proxy(OPEN))
        await rig.watch.agree()
        assert rig.clock.now() - start_ns == pytest.approx(3 * NS, abs=0.2 * NS)
        rig.proxy(ProxyState())
        await rig.watch.agree()
        assert rig.clock.now() - start_ns == pytest.approx((3 + AGREE_S) * NS, abs=0.3 * NS)


async def test_two_faults_at_once():
    rig = Rig()
    async with rig.watch.running():
        one, two = rig.watch.before(), rig.watch.before()
        rig.watch.injecting(one, rig.clock.now())
        rig.watch.injecting(two, rig.clock.now())
        rig.watch.over(one)
        await asyncio.sleep(10)
        assert one.closed_ns is not None
        assert rig.pace.quick
        rig.watch.over(two)
        await asyncio.sleep(10)
        assert not rig.pace.quick


async def test_a_fault_that_was_never_injected_is_over_at_once():
    rig = Rig()
    async with rig.watch.running():
        rig.watch.over(rig.watch.before())
        assert not rig.pace.quick


async def test_what_is_open_when_the_scenario_ends_is_closed():
    rig = Rig()
    async with rig.watch.running():
        fault = rig.watch.before()
        rig.watch.injecting(fault, rig.clock.now())
        await asyncio.sleep(3)
    assert fault.closed_ns == rig.clock.now()
    assert rig.watch.quick_ns == pytest.approx(3 * NS)


async def test_an_observer_that_fails_is_named_and_the_others_go_on():
    seen = []

    async def fails() -> None:
        await asyncio.sleep(1)
        raise KeyError("odd")

    async def goes_on() -> None:
        while True:
            await asyncio.sleep(1)
            seen.append(1)

    rig = Rig(nodes=fails, proxy=goes_on)
    async with rig.watch.running():
        await asyncio.sleep(5.5)
    assert len(seen) == 5
    assert rig.watch.observations().failed == {"dcs": "no port", "nodes": "KeyError: 'odd'"}
    assert asyncio.all_tasks() == {asyncio.current_task()}


# --- the engine's events


class Stream(FakeCluster):
    """A cluster whose engine tells something and then ends the stream, each time it is asked."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.asked = 0

    async def happenings(self) -> AsyncGenerator[Happening, None]:
        self.asked += 1
        for action in ("exec_create: sh", "kill", "die"):
            yield Happening("pg1", action, 1_000_000_000_000_000_000 + self.asked)


async def test_the_engines_events_with_its_own_time_and_again_when_the_stream_ends():
    clock, heard = loop_clock(), list[EngineEvent]()
    cluster = Stream(clock)
    anchor = Anchor(5_000, datetime.fromtimestamp(1_000_000_000, UTC))
    listening = asyncio.create_task(ContainerEvents(cluster, clock, anchor, heard.append).run())
    await asyncio.sleep(1.2)
    listening.cancel()
    assert cluster.asked == 3
    assert [event.action for event in heard] == ["kill", "die"] * 3
    assert heard[0].engine_ns == 5_001, "mapped to the run's clock by the one anchor"
    assert heard[0].member == "pg1"


# --- the tail


async def test_when_p99_is_back():
    clock = loop_clock()
    recorder = Recorder(clock, Windows(), lambda event: None)
    tally = recorder.tally("w", "write", OpClass.WRITE)
    tail = Tail(clock, recorder)
    running = asyncio.create_task(tail.run())

    async def load(seconds: int, ms: int, per_second: int = 50) -> None:
        for _ in range(seconds * per_second):
            await asyncio.sleep(1 / per_second)
            now_ns = clock.now()
            tally.record_ok(now_ns - ms * 1_000_000, now_ns, now_ns)

    await load(10, 4)
    tail.fault()
    assert tail.steady_ms == pytest.approx(4, rel=0.02)
    t6_ns = clock.now()
    await load(4, 50)
    await load(2, 7)
    await load(1, 20)
    back_ns = clock.now()
    await load(2, 7)
    assert tail.back_ns(t6_ns) is None
    await load(3, 7)
    found_ns = tail.back_ns(t6_ns)
    assert found_ns is not None
    assert found_ns - back_ns == pytest.approx(0, abs=1.1 * NS)
    tail.fault()
    assert tail.steady_ms == pytest.approx(4, rel=0.02), "a later fault does not make the aftermath the steady state"
    running.cancel()


async def test_without_load_there_is_no_p99_to_come_back():
    clock = loop_clock()
    tail = Tail(clock, Recorder(clock, Windows(), lambda event: None))
    tail.fault()
    assert tail.steady_ms is None
    assert tail.back_ns(0) is None
