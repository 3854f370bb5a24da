"""A fault is healed whatever happens: at the end, after an error, on cancellation, when injecting went wrong."""

from __future__ import annotations

import asyncio

import pytest

from chaosbench.clock import loop_clock, to_ns
from chaosbench.cluster import Cluster
from chaosbench.cluster.fake import FakeCluster
from chaosbench.errors import FaultError, HealError, InjectionError
from chaosbench.events import Event, Kind
from chaosbench.injectors import Fault
from chaosbench.injectors.injection import Patience, heal, injected
from chaosbench.injectors.kill import Kill
from chaosbench.injectors.pause import Pause
from chaosbench.injectors.switchover import Switchover
from chaosbench.model.cluster import Member, RunState

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

PATIENCE = Patience(inject=10, heal=5, tries=3, pause=1)


class Bench:
    """A fake cluster, its clock and what was emitted."""

    def __init__(self) -> None:
        self.clock = loop_clock()
        self.cluster = FakeCluster(self.clock)
        self.events: list[Event] = []

    @property
    def kinds(self) -> list[Kind]:
        return [event.kind for event in self.events]

    def injected(self, fault: Fault, name: str = "pg1"):
        member = self.cluster.member(name)
        return injected("the-fault", fault, member, self.cluster, self.clock, self.events.append, PATIENCE)


@pytest.mark.parametrize(
    ("fault", "state", "verbs"),
    [
        (Kill(target="leader"), RunState.EXITED, ["kill", "start"]),
        (Pause(target="leader"), RunState.PAUSED, ["pause", "unpause"]),
    ],
)
async def test_in_place_inside_the_block_and_gone_after(fault: Fault, state: RunState, verbs: list[str]):
    bench = Bench()
    async with bench.injected(fault) as injection:
        assert bench.cluster.states["pg1"] is state
        await bench.clock.sleep(3)
        assert injection.healed_ns is None
    assert bench.cluster.states["pg1"] is RunState.RUNNING
    assert [verb for verb, _ in bench.cluster.calls] == verbs
    assert bench.kinds == [Kind.FAULT_INJECTING, Kind.FAULT_INJECTED, Kind.FAULT_HEALED]
    assert injection.healed_ns is not None
    assert injection.injected_ns is not None
    assert injection.healed_ns - injection.injected_ns == to_ns(3)


async def test_stamps_lie_around_the_call():
    bench = Bench()
    bench.cluster.takes = 0.4
    async with bench.injected(Kill(target="leader")) as injection:
        assert injection.injected_ns is not None
        assert injection.injected_ns - injection.injecting_ns == to_ns(0.4)
    assert [event.at_ns for event in bench.events] == [
        injection.injecting_ns,
        injection.injected_ns,
        injection.healed_ns,
    ]
    assert bench.events[0].data["target"] == "pg1"


async def test_a_switchover_heals_itself():
    bench = Bench()
    async with bench.injected(Switchover()):
        assert bench.cluster.leader == "pg2"
    assert [verb for verb, _ in bench.cluster.calls] == ["switchover"]


async def test_an_error_in_the_block_goes_on_after_healing():
    bench = Bench()
    with pytest.raises(ValueError, match="of the run"):
        async with bench.injected(Kill(target="leader")):
            raise ValueError("an error of the run")
    assert bench.cluster.states["pg1"] is RunState.RUNNING


@pytest.mark.parametrize("state", [RunState.EXITED, RunState.PAUSED])
async def test_a_member_that_is_down_already_is_left_alone(state: RunState):
    bench = Bench()
    bench.cluster.states["pg1"] = state
    with pytest.raises(InjectionError, match=f"pg1 is {state} already"):
        async with bench.injected(Kill(target="leader")):
            pytest.fail("the block must not run")
    assert bench.cluster.calls == []
    assert bench.events == []


async def test_a_cancelled_run_heals_to_the_end():
    bench = Bench()
    bench.cluster.takes = 2.0

    async def run() -> None:
        async with bench.injected(Kill(target="leader")):
            await bench.clock.sleep(60)

    task = asyncio.create_task(run())
    await bench.clock.sleep(5)
    task.cancel()
    await bench.clock.sleep(1)
    assert not task.done(), "the heal takes 2 s and must be waited for"
    task.cancel()  # an impatient second Ctrl-C
    await asyncio.wait({task})
    assert task.cancelled()
    assert bench.cluster.states["pg1"] is RunState.RUNNING
    assert bench.kinds[-1] is Kind.FAULT_HEALED


async def test_cancelled_while_injecting_the_order_under_way_is_healed_too():
    bench = Bench()
    bench.cluster.takes = 2.0

    async def run() -> None:
        async with bench.injected(Kill(target="leader")):
            pytest.fail("the block must not run")

    task = asyncio.create_task(run())
    await bench.clock.sleep(1)
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    assert bench.cluster.calls == [("kill", "pg1"), ("start", "pg1")]
    assert bench.cluster.states["pg1"] is RunState.RUNNING


async def test_a_failed_injection_is_healed_and_told_as_such():
    bench = Bench()
    bench.cluster.failures["pause"] = [FaultError("docker pause pg1: no")]
    with pytest.raises(InjectionError, match="the-fault: docker pause pg1: no"):
        async with bench.injected(Pause(target="leader")):
            pytest.fail("the block must not run")
    assert bench.kinds == [Kind.FAULT_INJECTING, Kind.FAULT_HEALED]
    assert bench.cluster.states["pg1"] is RunState.RUNNING


class Late(Kill):
    """Its order to kill gets stuck, and is carried out long after everybody stopped waiting."""

    async def inject(self, cluster: Cluster, member: Member) -> None:
        asyncio.get_running_loop().call_later(10.5, lambda: cluster.states.update(pg1=RunState.EXITED))
        await asyncio.sleep(100)


async def test_an_order_that_takes_effect_after_the_timeout_is_healed_by_the_second_look():
    bench = Bench()
    with pytest.raises(InjectionError, match="no end of the injection within 10 s"):
        async with bench.injected(Late(target="leader")):
            pytest.fail("the block must not run")
    assert bench.cluster.states["pg1"] is RunState.RUNNING
    assert bench.cluster.calls == [("start", "pg1")]


async def test_healing_is_tried_again():
    bench = Bench()
    bench.cluster.failures["start"] = [FaultError("busy"), FaultError("busy")]
    async with bench.injected(Kill(target="leader")):
        pass
    assert [verb for verb, _ in bench.cluster.calls] == ["kill", "start", "start", "start"]
    assert bench.cluster.states["pg1"] is RunState.RUNNING


async def test_what_cannot_be_healed_leaves_a_command_to_paste():
    bench = Bench()
    bench.cluster.failures["start"] = [FaultError("no space left")] * 9
    with pytest.raises(
        HealError, match=r"after 3 tries: no space left; to heal by hand: docker start id-of-pg1"
    ) as caught:
        async with bench.injected(Kill(target="leader")) as injection:
            pass
    assert caught.value.remedy == "docker start id-of-pg1"
    assert injection.healed_ns is None
    assert bench.kinds[-1] is Kind.HEAL_FAILED
    assert bench.events[-1].data["remedy"] == "docker start id-of-pg1"


async def test_a_heal_that_hangs_is_bounded():
    bench = Bench()
    bench.cluster.takes = 1000
    member = bench.cluster.member("pg1")
    bench.cluster.states["pg1"] = RunState.EXITED
    with pytest.raises(HealError):
        await heal(Kill(target="leader"), member, bench.cluster, bench.clock, PATIENCE)
    assert asyncio.get_running_loop().time() == pytest.approx(3 * 5 + 2, abs=0.1)


async def test_a_cancellation_is_not_hidden_by_a_heal_that_fails():
    bench = Bench()
    bench.cluster.failures["start"] = [FaultError("no")] * 9
    injections = []

    async def run() -> None:
        async with bench.injected(Kill(target="leader")) as injection:
            injections.append(injection)
            await bench.clock.sleep(60)

    task = asyncio.create_task(run())
    await bench.clock.sleep(1)
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    assert isinstance(injections[0].heal_error, HealError)
    assert bench.kinds[-1] is Kind.HEAL_FAILED


async def test_a_timeout_around_the_block_still_works():
    bench = Bench()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(5), bench.injected(Kill(target="leader")):
            await bench.clock.sleep(60)
    assert bench.cluster.states["pg1"] is RunState.RUNNING


async def test_healing_needs_settings_and_member_alone():
    bench = Bench()
    bench.cluster.states["pg1"] = RunState.EXITED
    await heal(Kill(target="whatever"), bench.cluster.member("pg1"), bench.cluster, bench.clock)
    await heal(Kill(target="whatever"), bench.cluster.member("pg1"), bench.cluster, bench.clock)
    assert bench.cluster.calls == [("start", "pg1")]
