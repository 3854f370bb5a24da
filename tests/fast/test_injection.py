"""A fault is healed whatever happens: at the end, after an error, on cancellation, when injecting went wrong."""

from __future__ import annotations

import asyncio

import pytest

from chaosbench.clock import loop_clock, to_ns
from chaosbench.cluster import Cluster
from chaosbench.cluster.fake import FakeCluster
from chaosbench.errors import ClusterUnavailable, FaultError, HealError, InjectionError
from chaosbench.events import Event, Kind
from chaosbench.injectors import Injector
from chaosbench.injectors.healing import Patience, heal
from chaosbench.injectors.injection import Hands, injected
from chaosbench.injectors.kill import Kill
from chaosbench.injectors.pause import Pause
from chaosbench.injectors.record import Mark
from chaosbench.injectors.switchover import Switchover
from chaosbench.model.cluster import Member, RunState
from chaosbench.model.faults import NOTHING, Before

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

    def injected(self, fault: Injector, name: str = "pg1"):
        member = self.cluster.member(name)
        hands = Hands(self.cluster, self.clock, patience=PATIENCE)
        return injected("the-fault", fault, [member], hands, self.events.append)


@pytest.mark.parametrize(
    ("fault", "state", "verbs"),
    [
        (Kill(target="leader"), RunState.EXITED, ["kill", "start"]),
        (Pause(target="leader"), RunState.PAUSED, ["pause", "unpause"]),
    ],
)
async def test_in_place_inside_the_block_and_gone_after(fault: Injector, state: RunState, verbs: list[str]):
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

    async def inject(self, cluster: Cluster, member: Member, before: Before) -> None:
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


async def test_an_engine_that_restarts_costs_no_tries():
    bench = Bench()
    bench.cluster.failures["start"] = [ClusterUnavailable("no answer from the Docker engine")] * 30
    async with bench.injected(Kill(target="leader")) as injection:
        pass
    assert injection.heal_error is None
    assert bench.cluster.states["pg1"] is RunState.RUNNING


async def test_an_engine_that_stays_away_is_not_waited_for_forever():
    bench = Bench()
    bench.cluster.failures["start"] = [ClusterUnavailable("no answer from the Docker engine")] * 300
    began = asyncio.get_running_loop().time()
    with pytest.raises(HealError, match="no answer from the Docker engine; to heal by hand: docker start"):
        async with bench.injected(Kill(target="leader")):
            pass
    assert asyncio.get_running_loop().time() - began == pytest.approx(62, abs=2)


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
        await heal(Kill(target="leader"), member, NOTHING, bench.cluster, bench.clock, PATIENCE)
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
    await heal(Kill(target="whatever"), bench.cluster.member("pg1"), NOTHING, bench.cluster, bench.clock)
    await heal(Kill(target="whatever"), bench.cluster.member("pg1"), NOTHING, bench.cluster, bench.clock)
    assert bench.cluster.calls == [("start", "pg1")]


class Kept:
    """A journal in memory."""

    def __init__(self, *, full: bool = False) -> None:
        self.full = full
        self.marks: list[tuple[str, str]] = []

    async def intend(self, fault: str, injector: Injector, member: Member, before: Before) -> str:
        if self.full and member.name == "pg2":
            raise OSError(28, "No space left on device")
        self.marks.append((member.name, "intent"))
        return member.name

    async def mark(self, entry: str, mark: Mark) -> None:
        self.marks.append((entry, mark.value))


async def test_several_members_are_hit_and_healed_together():
    bench, journal = Bench(), Kept()
    members = [bench.cluster.member("pg2"), bench.cluster.member("pg3")]
    hands = Hands(bench.cluster, bench.clock, journal, PATIENCE)
    async with injected("both", Pause(target="all replicas"), members, hands, bench.events.append) as injection:
        assert {bench.cluster.states[name] for name in ("pg2", "pg3")} == {RunState.PAUSED}
        assert injection.names == "pg2, pg3"
    assert {bench.cluster.states[name] for name in ("pg2", "pg3")} == {RunState.RUNNING}
    assert bench.kinds == [Kind.FAULT_INJECTING, Kind.FAULT_INJECTED, Kind.FAULT_HEALED]
    for name in ("pg2", "pg3"):
        assert [mark for entry, mark in journal.marks if entry == name] == ["intent", "applied", "healing", "healed"]


async def test_every_intent_is_written_before_anything_is_touched():
    bench, journal = Bench(), Kept(full=True)
    members = [bench.cluster.member("pg3"), bench.cluster.member("pg2")]
    hands = Hands(bench.cluster, bench.clock, journal, PATIENCE)
    with pytest.raises(InjectionError, match=r"both: .*No space left.*; nothing was done"):
        async with injected("both", Pause(target="all replicas"), members, hands, bench.events.append):
            pytest.fail("the block must not run")
    assert bench.cluster.calls == []
    assert bench.events == []
    assert journal.marks == [("pg3", "intent"), ("pg3", "healed")], "nothing is left open"


async def test_one_member_that_cannot_be_healed_keeps_no_other_from_it():
    bench, journal = Bench(), Kept()
    members = [bench.cluster.member("pg2"), bench.cluster.member("pg3")]
    hands = Hands(bench.cluster, bench.clock, journal, PATIENCE)

    class Stuck(Pause):
        async def heal(self, cluster: Cluster, member: Member, before: Before) -> None:
            if member.name == "pg2":
                await asyncio.sleep(1000)
            await cluster.unpause(member)

    with pytest.raises(HealError, match="pause on pg2 is not healed"):
        async with injected("both", Stuck(target="all replicas"), members, hands, bench.events.append):
            pass
    assert bench.cluster.states["pg3"] is RunState.RUNNING
    assert ("pg3", "healed") in journal.marks
    assert ("pg2", "healed") not in journal.marks, "it stays open, for whoever heals later"


async def test_a_fault_that_vanishes_is_told_as_lost_once():
    bench = Bench()
    async with bench.injected(Pause(target="leader")) as injection:
        await bench.clock.sleep(2.5)
        bench.cluster.states["pg1"] = RunState.RUNNING  # somebody thawed it
        await bench.clock.sleep(5)
        assert injection.lost_ns == to_ns(3)
    assert bench.kinds.count(Kind.FAULT_LOST) == 1


async def test_an_engine_that_does_not_answer_is_no_proof_of_a_loss():
    bench = Bench()
    async with bench.injected(Pause(target="leader")) as injection:
        working, bench.cluster.state = bench.cluster.state, unavailable
        await bench.clock.sleep(5)
        bench.cluster.state = working
    assert injection.lost_ns is None
    assert injection.healed_ns is not None


async def unavailable(member: Member) -> RunState:
    raise ClusterUnavailable("no answer from the Docker engine")


async def test_what_is_still_there_after_healing_is_not_called_healed():
    class Sticky(Pause):
        async def heal(self, cluster: Cluster, member: Member, before: Before) -> None:
            """Claims to have done it."""

    bench = Bench()
    with pytest.raises(HealError, match="it is still in place"):
        async with bench.injected(Sticky(target="leader")):
            pass
    assert bench.kinds[-1] is Kind.HEAL_FAILED
