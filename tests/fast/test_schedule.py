"""When faults come: every rule, from the seed alone."""

from __future__ import annotations

from itertools import islice, pairwise
from statistics import mean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosbench.injectors.kill import Kill
from chaosbench.injectors.switchover import Switchover
from chaosbench.model.scenario import Windows
from chaosbench.scenarios.plan import last_start, planned
from chaosbench.scenarios.plan_table import as_json, table
from chaosbench.scenarios.scenario import Action, PlannedFault, Scenario, ScheduledFault
from chaosbench.schedule import Condition, Draw, Mode, Schedule, Span, State, draws

HELD = (Span(2.0, 2.0),)


def made(schedule: Schedule, spans: tuple[Span, ...] = HELD, mode: Mode = Mode.CHOOSE, seed: str = "1") -> list[Draw]:
    return list(islice(draws("it", schedule, spans, mode, seed), 1000))


def times(schedule: Schedule, **more: object) -> list[float]:
    return [draw.at for draw in made(schedule, **more)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (Schedule(at=5.0), [5.0]),
        (Schedule(every=10.0, end=45.0), [10.0, 20.0, 30.0, 40.0]),
        (Schedule(every=10.0, start=0.0, end=42.0), [0.0, 10.0, 20.0, 30.0]),  # the one at 40 would end at 42
        (Schedule(every=10.0, start=3.0, times=2), [3.0, 13.0]),
        (Schedule(conditions=(Condition(State.HEALTHY),)), [0.0]),
        (Schedule(start=7.0, times=3), [7.0, 7.0, 7.0]),
        (Schedule(at=5.0, end=7.0), []),
    ],
)
def test_times(schedule: Schedule, expected: list[float]):
    assert times(schedule) == expected


def test_jitter_moves_each_occurrence_by_itself_and_never_accumulates():
    found = times(Schedule(every=10.0, jitter=4.0))
    late = [at - 10.0 * number for number, at in enumerate(found, start=1)]
    assert min(late) >= 0.0
    assert max(late) <= 4.0
    assert mean(late) == pytest.approx(2.0, abs=0.2)
    assert len(set(late)) > 900


def test_a_mean_time_between_faults_is_that_from_one_injection_to_the_next_and_none_overlap():
    spans = (Span(5.0, 15.0),)
    found = made(Schedule(mtbf=60.0), spans)
    gaps = [later.at - earlier.at for earlier, later in pairwise(found)]
    assert mean(gaps) == pytest.approx(60.0, rel=0.1)
    assert all(later.at >= earlier.at + earlier.hold for earlier, later in pairwise(found))
    up = [later.at - earlier.at - earlier.hold for earlier, later in pairwise(found)]
    # Exponential: the median is ln 2 of the mean.
    assert sorted(up)[len(up) // 2] == pytest.approx(0.693 * mean(up), rel=0.15)


def test_choices_come_in_proportion_to_their_weights():
    spans = (Span(1.0, 1.0, weight=3.0), Span(2.0, 2.0, weight=1.0))
    picks = [draw.action for draw in made(Schedule(every=10.0), spans)]
    assert picks.count(0) == pytest.approx(750, abs=50)


def test_the_steps_of_a_sequence_follow_each_other():
    spans = (Span(2.0, 2.0), Span(3.0, 3.0, wait=1.0), Span(0.0, 0.0, wait=0.5))
    first, second, third = made(Schedule(at=10.0), spans, Mode.SEQUENCE)
    assert [draw.at for draw in (first, second, third)] == [10.0, 13.0, 16.5]
    assert [draw.wait for draw in (first, second, third)] == [0.0, 1.0, 0.5]
    assert [draw.last for draw in (first, second, third)] == [False, False, True]
    assert {draw.cycle for draw in (first, second, third)} == {1}


def test_a_sequence_that_does_not_fit_whole_is_not_begun():
    spans = (Span(2.0, 2.0), Span(3.0, 3.0))
    assert [draw.cycle for draw in made(Schedule(every=10.0, end=24.0), spans, Mode.SEQUENCE)] == [1, 1]


@given(seed=st.text(max_size=5), low=st.floats(0, 50), length=st.floats(0.1, 50))
def test_holds_stay_in_their_range(seed: str, low: float, length: float):
    schedule = Schedule(every=200.0, times=20)
    for draw in made(schedule, (Span(low, low + length),), seed=seed):
        assert low - 0.001 <= draw.hold <= low + length + 0.001


@given(seed=st.text(max_size=5))
def test_one_seed_one_plan(seed: str):
    schedule, spans = Schedule(mtbf=60.0, times=30), (Span(1.0, 9.0), Span(2.0, 2.0, weight=2.0))
    assert made(schedule, spans, seed=seed) == made(schedule, spans, seed=seed)


def test_another_seed_another_plan():
    assert times(Schedule(mtbf=60.0), seed="1") != times(Schedule(mtbf=60.0), seed="2")


# The plan of a scenario


def entry(name: str, schedule: Schedule, *actions: Action, mode: Mode = Mode.CHOOSE) -> ScheduledFault:
    return ScheduledFault(name=name, schedule=schedule, actions=actions or (KILL,), mode=mode)


KILL = Action(injector=Kill(target="leader", hold="9s"), span=Span(3.0, 9.0))  # type: ignore[arg-type]
SWITCH = Action(injector=Switchover(), span=Span(weight=2.0))
DAILY = entry("kills", Schedule(every=60.0, jitter=10.0))
MIXED = entry("mix", Schedule(mtbf=90.0, conditions=(Condition(State.HEALED, "kills"),)), KILL, SWITCH)


def experiment(*faults: ScheduledFault, duration: float = 3600.0, **more: object) -> Scenario:
    return Scenario(
        name="plan",
        description="",
        duration=duration,
        warm_up=1.0,
        recovery=1.0,
        scale=1,
        streams=(),
        faults=faults,
        expectations=(),
        windows=Windows(),
        **more,  # type: ignore[arg-type]
    )


def of(name: str, faults: list[PlannedFault]) -> list[PlannedFault]:
    return [fault for fault in faults if fault.source == name]


def test_a_plan_is_in_the_order_of_time_and_every_fault_has_a_name_of_its_own():
    plan = list(planned(experiment(DAILY, MIXED), 7))
    assert [fault.at for fault in plan] == sorted(fault.at for fault in plan)
    assert len({fault.name for fault in plan}) == len(plan) > 80
    assert [fault.name for fault in of("kills", plan)][:2] == ["kills-1", "kills-2"]
    assert all(fault.at + fault.held < 3600.0 for fault in plan)


def test_another_fault_changes_nothing_for_the_others():
    alone, together = list(planned(experiment(DAILY), 7)), list(planned(experiment(MIXED, DAILY), 7))
    assert of("kills", together) == alone
    assert list(planned(experiment(DAILY), 8)) != alone


def test_a_trials_faults_are_the_same_ones_later():
    plain = experiment(DAILY, MIXED, trials=3)
    later = experiment(DAILY, MIXED, trials=3, offset=4.5)
    pairs = list(zip(planned(plain, 7), planned(later, 7), strict=True))
    assert all(moved.at == pytest.approx(fault.at + 4.5) for fault, moved in pairs)
    assert all(fault.held == moved.held and fault.name == moved.name for fault, moved in pairs)
    assert all(last_start(moved, later) + moved.held <= 3600.0 for _, moved in pairs)


def test_a_week_of_faults_is_planned_in_their_order():
    plan = list(planned(experiment(DAILY, MIXED, duration=7 * 86400.0), 7))
    assert len(plan) > 15_000
    assert [fault.at for fault in plan] == sorted(fault.at for fault in plan)


def test_a_scenario_without_an_end_has_a_plan_without_one():
    endless = experiment(DAILY, MIXED, duration=float("inf"))
    plan = list(islice(planned(endless, 7), 50_000))
    assert plan[-1].at > 1_000_000


def test_a_plan_for_reading():
    lines = list(table(experiment(entry("first", Schedule(at=5.0)), MIXED, duration=300.0), 7, None))
    assert lines[0] == "plan: 300 s of load, seed 7"
    assert lines[1].split() == ["at", "fault", "injector", "target", "hold", "when"]
    assert lines[2].split()[:5] == ["5.000", "s", "first", "kill", "leader"]
    assert any("healed: kills" in line and ">= " in line for line in lines)


def test_a_plan_as_json_is_the_same_every_time():
    assert as_json([experiment(DAILY, MIXED)], 7) == as_json([experiment(DAILY, MIXED)], 7)
    assert '"fault": "kills-1"' in as_json([experiment(DAILY)], 7)
