"""Faults on their schedule: conditions, conflicts, the blast radius, and what is done before anything is touched."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import pytest

from chaosbench.cluster.containers import MEMBER_LABEL, ROLE_LABEL, Container
from chaosbench.cluster.docker import _member
from chaosbench.errors import PreflightError, TargetError
from chaosbench.events import Kind
from chaosbench.injectors import Injector
from chaosbench.injectors.blast import excess
from chaosbench.injectors.kill import Kill
from chaosbench.injectors.switchover import Switchover
from chaosbench.injectors.table import INJECTORS
from chaosbench.injectors.targets import resolve
from chaosbench.model.cluster import Role, RunState
from chaosbench.model.faults import Need, Permits
from chaosbench.model.report import Summary, Verdict
from chaosbench.scenarios.preflight import require_faults
from chaosbench.scenarios.rehearsal import rehearse
from chaosbench.scenarios.run import run_scenario
from chaosbench.scenarios.scenario import Action, OnConflict, Scenario, ScheduledFault
from chaosbench.schedule import Condition, Mode, Schedule, Span, State
from tests.fast.test_run import Rig, kill, pause, scenario
from tests.fast.test_snapshot import HEALTHY
from tests.fast.test_targets import WIDE

pytestmark = pytest.mark.looptime(noop_cycles=0)


def action(injector: Injector, **span: float) -> Action:
    return Action(injector=injector, span=Span(injector.hold, injector.hold, **span))


def fault(name: str, injector: Injector, **schedule: object) -> ScheduledFault:
    return ScheduledFault(name=name, schedule=Schedule(**schedule), actions=(action(injector),))  # type: ignore[arg-type]


def with_faults(*faults: ScheduledFault, duration: float = 30.0, **changes: object) -> Scenario:
    return replace(scenario(duration=duration, **changes), faults=faults)


async def run(rig: Rig, *faults: ScheduledFault, **changes: object) -> Summary:
    return await run_scenario(with_faults(*faults, **changes), rig.bench)


def when(state: State, name: str = "") -> tuple[Condition, ...]:
    return (Condition(state, name),)


def stamps(summary: Summary) -> list[tuple[str, float | None, float | None]]:
    def short(at: float | None) -> float | None:
        return None if at is None else round(at, 1)

    return [(one.name, short(one.injecting_at_s), short(one.healed_at_s)) for one in summary.faults]


def said(rig: Rig, kind: Kind) -> list[str]:
    return [event.data["reason"] for event in rig.watcher.events if event.kind is kind]


# Schedules


async def test_a_fault_that_comes_again_has_a_name_and_figures_for_each_time():
    summary = await run(Rig(), fault("hit", kill("pgpool", "2s"), every=8.0))
    assert stamps(summary) == [("hit-1", 8.0, 10.0), ("hit-2", 16.0, 18.0), ("hit-3", 24.0, 26.0)]
    assert {one.member for one in summary.faults} == {"pgpool1"}


async def test_faults_overlap():
    rig = Rig()
    summary = await run(rig, fault("a", kill("replica", "9s"), at=2.0), fault("b", pause("pgpool", "3s"), at=4.0))
    assert stamps(summary) == [("a", 2.0, 11.0), ("b", 4.0, 7.0)]
    assert rig.whole()


async def test_one_seed_hits_the_same_members_in_two_runs():
    faults = [fault("r", kill("replica", "1s"), every=3.0), fault("any", pause("random", "1s"), every=5.0, start=4.5)]
    hits = []
    for _ in range(2):
        summary = await run(Rig(), *faults, permits=Permits(quorum_loss=True, multi=True), duration=60.0)
        hits.append([(one.name, one.member, one.planned_at_s) for one in summary.faults])
    assert hits[0] == hits[1]
    assert len({member for _, member, _ in hits[0]}) > 2


async def test_a_sequence_waits_for_each_step_to_be_healed():
    rig = Rig()
    steps = (action(kill("replica", "3s")), action(pause("pgpool", "2s"), wait=1.5), action(Switchover()))
    summary = await run(rig, ScheduledFault(name="drill", schedule=Schedule(at=2.0), actions=steps, mode=Mode.SEQUENCE))
    assert stamps(summary) == [("drill-1", 2.0, 5.0), ("drill-2", 6.5, 8.5), ("drill-3", 8.5, 8.5)]
    rig = Rig()
    rig.cluster.failures = {"start": [PreflightError("not yet")] * 3}  # its healing takes three tries
    late = await run(rig, ScheduledFault(name="drill", schedule=Schedule(at=2.0), actions=steps, mode=Mode.SEQUENCE))
    assert stamps(late)[:2] == [("drill-1", 2.0, 8.0), ("drill-2", 9.5, 11.5)]


async def test_a_fault_after_another_was_healed():
    summary = await run(
        Rig(), fault("b", Switchover(), conditions=when(State.HEALED, "a")), fault("a", kill("replica", "3s"), at=2.0)
    )
    assert stamps(summary) == [("b", 5.5, 5.5), ("a", 2.0, 5.0)]


async def test_each_time_another_was_healed():
    summary = await run(
        Rig(),
        fault("a", kill("pgpool", "1s"), every=8.0),
        fault("b", Switchover(), conditions=when(State.HEALED, "a"), times=3),
    )
    assert [at for name, at, _ in stamps(summary) if name.startswith("b")] == [9.5, 17.5, 25.5]


async def test_a_fault_waits_for_a_healthy_cluster():
    rig = Rig()
    summary = await run(
        rig, fault("a", kill("replica", "6s"), at=2.0), fault("b", Switchover(), at=3.0, conditions=when(State.HEALTHY))
    )
    assert stamps(summary)[1] == ("b", 8.5, 8.5)
    assert said(rig, Kind.FAULT_WAITING) == ["it waits for a healthy cluster (pg3 is exited)"]


async def test_a_fault_waits_for_the_steady_state():
    rig = Rig()
    summary = await run(
        rig, fault("a", kill(), at=5.0), fault("b", Switchover(), at=6.0, conditions=when(State.STEADY))
    )
    (first, second) = summary.faults
    assert first.t6_s == pytest.approx(9.0, abs=0.1)
    # Writes are back at 9; the window is over after its quiet period, and p99 was good for three seconds.
    assert second.injecting_at_s is not None
    assert 12.0 <= second.injecting_at_s <= 15.0


async def test_a_condition_that_never_holds_leaves_the_verdict_open():
    rig = Rig()
    rig.at(2.0, lambda: rig.cluster.silent.add("pg3"))
    rig.at(25.0, rig.cluster.silent.clear)
    summary = await run(rig, fault("b", Switchover(), at=4.0, conditions=when(State.HEALTHY)), duration=15.0)
    (only,) = summary.faults
    assert only.error is not None
    assert "not injected before its time was over: it waits for a healthy cluster (pg3" in only.error
    assert summary.verdict is Verdict.UNKNOWN
    assert rig.cluster.calls == []


async def test_an_occurrence_does_not_wait_longer_than_for_the_next():
    rig = Rig()
    summary = await run(
        rig,
        fault("long", kill("pgpool1", "14s"), at=4.0),
        fault("often", pause("pgpool1", "1s"), every=5.0),
        duration=31.0,
    )
    skipped = [one.name for one in summary.faults if one.skipped]
    assert skipped == ["often-1", "often-2"]
    assert [(name, at) for name, at, _ in stamps(summary) if at and name != "long"] == [
        ("often-3", 18.5),
        ("often-4", 20.0),
        ("often-5", 25.0),
    ]
    assert summary.verdict is Verdict.PASS, "the schedule goes on: nothing is in doubt"


# Conflicts


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (OnConflict.WAIT, [("a", 2.0, 7.0), ("b", 7.5, 9.5)]),
        (OnConflict.SKIP, [("a", 2.0, 7.0), ("b", None, None)]),
        (OnConflict.ERROR, [("a", 2.0, 7.0), ("b", None, None)]),
    ],
)
async def test_faults_that_would_undo_each_other(policy: OnConflict, expected: list[object]):
    rig = Rig()
    summary = await run(
        rig, fault("a", kill("pgpool", "5s"), at=2.0), fault("b", pause("pgpool1", "2s"), at=3.0), conflict=policy
    )
    assert stamps(summary) == expected
    reason = "pause and a (kill) would undo each other on pgpool1"
    second = summary.faults[1]
    match policy:
        case OnConflict.WAIT:
            assert said(rig, Kind.FAULT_WAITING) == [reason]
            assert summary.verdict is Verdict.PASS
        case OnConflict.SKIP:
            assert (second.skipped, said(rig, Kind.FAULT_SKIPPED)) == (reason, [reason])
            assert summary.verdict is Verdict.PASS
        case OnConflict.ERROR:
            assert (second.error, summary.verdict) == (reason, Verdict.UNKNOWN)
    assert rig.whole()


async def test_of_two_that_come_at_once_one_waits_also_for_the_whole_clusters_settings():
    summary = await run(Rig(), fault("a", Switchover(), at=2.0), fault("b", Switchover(), at=2.0))
    assert sorted(at for _, at, _ in stamps(summary) if at is not None) == [2.0, 2.5]


# The blast radius


async def test_one_postgresql_node_at_a_time():
    rig = Rig()
    summary = await run(rig, fault("a", kill(hold="8s"), at=2.0), fault("b", kill("replica", "2s"), at=4.0))
    assert stamps(summary) == [("a", 2.0, 10.0), ("b", 10.5, 12.5)]
    assert said(rig, Kind.FAULT_WAITING) == [
        "pg1, pg2 would be disabled at once: more than one PostgreSQL node needs 'allow_multi: true'"
    ] or said(rig, Kind.FAULT_WAITING) == [
        "pg1, pg3 would be disabled at once: more than one PostgreSQL node needs 'allow_multi: true'"
    ]


async def test_two_nodes_where_the_scenario_allows_it():
    faults = (fault("a", kill(hold="8s"), at=2.0), fault("b", kill("replica", "2s"), at=4.0))
    summary = await run(Rig(), *faults, permits=Permits(multi=True))
    assert stamps(summary) == [("a", 2.0, 10.0), ("b", 4.0, 6.0)]


@pytest.mark.parametrize(
    ("names", "disabled", "down", "permits", "allowed"),
    [
        (["pg1"], [], [], Permits(), True),
        (["pg1"], ["pg1"], [], Permits(), True),
        (["pg1"], ["pg2"], [], Permits(), False),
        (["pg1"], [], ["pg3"], Permits(), False),
        (["pg1", "pg2"], [], [], Permits(), False),
        (["pg1", "pg2"], [], [], Permits(multi=True), True),
        (["etcd1"], [], [], Permits(), True),
        (["etcd1"], ["etcd2"], [], Permits(), False),
        (["etcd1"], [], ["etcd3"], Permits(), False),
        (["etcd1", "etcd2"], [], [], Permits(multi=True), False),
        (["etcd1", "etcd2", "etcd3"], [], [], Permits(quorum_loss=True), True),
        (["pgpool1"], ["pg2", "etcd1"], ["pg3"], Permits(), True),
        (["pg1", "etcd1"], [], [], Permits(), True),
    ],
)
def test_how_much_may_be_disabled(
    names: Sequence[str], disabled: Sequence[str], down: Sequence[str], permits: Permits, allowed: bool
):
    members = tuple(replace(one, state=RunState.EXITED) if one.name in down else one for one in WIDE.members)
    snapshot = replace(WIDE, members=members)
    hit = [member for member in members if member.name in names]
    assert (excess(Kill(target="x"), hit, snapshot, disabled, permits) is None) is allowed
    assert excess(Switchover(), hit, snapshot, disabled, Permits()) is None, "it disables nothing"


def test_a_node_whose_patroni_is_silent_or_starting_is_out():
    nodes = {**HEALTHY.nodes, "pg3": replace(HEALTHY.nodes["pg3"], state="starting")}
    hit = [HEALTHY.members[0]]
    assert excess(Kill(target="x"), hit, replace(HEALTHY, nodes=nodes), (), Permits()) is not None


@pytest.mark.parametrize("role", ["helper", "guard", "prometheus", "grafana", "exporter", "setup", "", None])
def test_only_the_clusters_own_members_can_be_targets(role: str | None):
    labels = {MEMBER_LABEL: "pg1"} | ({} if role is None else {ROLE_LABEL: role})
    assert _member(Container("id", "lab-x", labels, RunState.RUNNING, {})) is None
    for injector in INJECTORS.values():
        assert injector.hits <= set(Role)


def test_other_containers_of_the_lab_cannot_be_named():
    import random

    with pytest.raises(TargetError, match="is a job of the lab, not a member"):
        resolve("lab-grafana", Kill(target="x"), HEALTHY, random.Random(1), {"lab-grafana": "id-of-grafana"})


# Before anything is touched


class Delay(Kill):
    """A fault with needs."""

    kind: ClassVar[str] = "delay"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.NETEM, Need.HELPER})


async def test_what_a_fault_needs_and_is_not_there_is_said_before_anything_is_touched():
    rig = Rig()
    slow = with_faults(fault("slow", Delay(target="leader"), at=1.0))
    await require_faults([slow], rig.cluster)
    rig.cluster.missing = {Need.NETEM: "the kernel has no sch_netem"}
    with pytest.raises(PreflightError) as raised:
        await require_faults([slow], rig.cluster)
    assert str(raised.value) == "fault slow (delay) needs netem: the kernel has no sch_netem"
    assert raised.value.exit_code == 3
    assert rig.cluster.calls == []


@pytest.mark.parametrize(
    ("target", "permits", "said"),
    [
        ("etcd", Permits(), "'etcd' is 1 of 1 etcd, more than a minority: write 'allow_quorum_loss: true'"),
        ("etcd1", Permits(), "'etcd1' is 1 of 1 etcd"),
        ("all replicas", Permits(), "'all replicas' is more than one PostgreSQL node: write 'allow_multi: true'"),
        ("3 replicas", Permits(multi=True), "'3 replicas' wants 3 of 2 replica in this lab"),
        ("etcd minority", Permits(), "'etcd minority' wants a minority of 1 etcd in this lab"),
        ("etcd", Permits(quorum_loss=True), None),
        ("all replicas", Permits(multi=True), None),
        ("pgpool, leader", Permits(), None),
    ],
)
async def test_what_this_lab_is_too_small_for(target: str, permits: Permits, said: str | None):
    planned = with_faults(fault("it", kill(target), at=1.0), permits=permits)
    if said is None:
        await require_faults([planned], Rig().cluster)
        return
    with pytest.raises(PreflightError) as raised:
        await require_faults([planned], Rig().cluster)
    assert said in str(raised.value)


async def test_a_dry_run_says_whom_it_would_hit_and_touches_nothing():
    rig, lines = Rig(), list[str]()
    planned = with_faults(fault("a", kill(), at=2.0), fault("b", kill("pgpool", "1s"), every=9.0))
    assert await rehearse([planned], rig.cluster, 7, None, lines.append) == 0
    assert lines[0] == "dry run, seed 7: nothing is touched"
    rows = [line.split() for line in lines[3:]]
    assert [row[2] for row in rows] == ["a", "b-1", "b-2", "b-3"]
    assert [row[-1] for row in rows] == ["pg1", "pgpool1", "pgpool1", "pgpool1"]
    assert rig.cluster.calls == []
    assert rig.server.connects == 0


async def test_a_dry_run_says_what_is_wrong_now():
    rig, lines = Rig(), list[str]()
    rig.cluster.leader = None
    assert await rehearse([with_faults(fault("a", kill(), at=2.0))], rig.cluster, 7, None, lines.append) == 3
    assert any("there is no leader now" in line for line in lines)
    assert any(line.startswith("not healthy: no leader") for line in lines)


async def test_the_hits_of_a_dry_run_are_those_of_the_run():
    entry, lines = fault("r", kill("replica", "1s"), every=4.0), list[str]()
    await rehearse([with_faults(entry)], Rig().cluster, 1, None, lines.append)
    summary = await run(Rig(), entry)
    assert [line.split()[-1] for line in lines[3:]] == [one.member for one in summary.faults]


# The end


async def test_a_request_to_stop_begins_no_more_faults_and_heals_those_in_place():
    rig = Rig()
    rig.at(8.0, rig.bench.stop.set)
    summary = await run(
        rig,
        fault("a", kill("pgpool", "20s"), at=2.0),
        fault("b", pause("pgpool1", "2s"), at=3.0),
        fault("c", kill("replica", "1s"), at=10.0),
    )
    assert [(one.name, one.injected_at_s is not None) for one in summary.faults] == [("a", True), ("b", False)]
    assert [verb for verb, _ in rig.cluster.calls] == ["kill", "start"]
    assert rig.whole()
    assert asyncio.all_tasks() == {asyncio.current_task()}
