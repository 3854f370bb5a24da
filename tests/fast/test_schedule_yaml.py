"""Every kind of bad schedule in the YAML: one clear line each, with its place and what to write instead."""

# ruff: noqa: E501 - the lines of a person's terminal, as they are

from __future__ import annotations

import math
from pathlib import Path

import pytest

from chaosbench.errors import ScenarioFileError
from chaosbench.injectors.kill import Kill
from chaosbench.injectors.table import INJECTORS
from chaosbench.scenarios.loader import load
from chaosbench.scenarios.scenario import OnConflict, ScheduledFault
from chaosbench.schedule import Condition, Mode, Schedule, Span, State
from tests.fast.test_loader import faults, scenario, write

# Entries under 'faults' (the scenario lasts 20 s), and all that is said of them.
BAD: dict[str, tuple[list[str], list[str]]] = {
    "unknown key": (
        ["{evry: 5s, inject: kill, target: leader, hold: 2s}"],
        ["6:10: unknown key 'evry'; did you mean 'every'?"],
    ),
    "bad unit": (
        ["{every: 5, inject: kill, target: leader, hold: 2s}"],
        ["6:10: every: 5 is not a duration: write a number with a unit (us, ms, s, m, h, d), as in 30s"],
    ),
    "negative": (
        ["{at: -5s, inject: kill, target: leader, hold: 2s}"],
        ["6:10: at: '-5s' is not a duration: write a number with a unit (us, ms, s, m, h, d), as in 30s"],
    ),
    "every zero": (
        ["{every: 0, inject: kill, target: leader, hold: 2s}"],
        ["6:10: every: write 0.1 or more, not 0"],
    ),
    "every and at": (
        ["{at: 1s, every: 5s, inject: kill, target: leader, hold: 2s}"],
        ["6:18: 'at' and 'every' exclude each other: keep one of at, every, mtbf"],
    ),
    "mtbf and every": (
        ["{mtbf: 9s, every: 5s, inject: kill, target: leader, hold: 2s}"],
        ["6:10: 'every' and 'mtbf' exclude each other: keep one of at, every, mtbf"],
    ),
    "jitter alone": (
        ["{at: 1s, jitter: 5s, inject: kill, target: leader, hold: 2s}"],
        ["6:18: 'jitter' has no meaning without 'every'"],
    ),
    "jitter larger": (
        ["{every: 5s, jitter: 6s, inject: kill, target: leader, hold: 2s}"],
        ["6:21: jitter: 6s must be shorter than 'every' (5s)"],
    ),
    "hold longer than every": (
        ["{every: 5s, jitter: 1s, inject: kill, target: leader, hold: 5s}"],
        [
            "6:10: fault 'kill-leader' holds for up to 5s, but comes again after 5s less 1s of jitter: make 'hold' shorter or 'every' longer"
        ],
    ),
    "hold longer than mtbf": (
        ["{mtbf: 5s, inject: kill, target: leader, hold: 5s}"],
        ["6:10: fault 'kill-leader' holds for up to 5s: write an 'mtbf' longer than that, not 5s"],
    ),
    "until before from": (
        ["{every: 5s, from: 9s, until: 8s, inject: kill, target: leader, hold: 2s}"],
        ["6:31: until: 8s is not after 'from' (9s)"],
    ),
    "until with at": (
        ["{at: 5s, until: 8s, inject: kill, target: leader, hold: 2s}"],
        ["6:18: 'until' has no meaning with 'at': write 'every' or 'mtbf' for a fault that comes again"],
    ),
    "times with at": (
        ["{at: 5s, times: 3, inject: kill, target: leader, hold: 2s}"],
        ["6:18: 'times' has no meaning with 'at': write 'every' or 'mtbf' for a fault that comes again"],
    ),
    "times zero": (
        ["{every: 5s, times: 0, inject: kill, target: leader, hold: 2s}"],
        ["6:21: times: write 1 or more, not 0"],
    ),
    "times text": (
        ["{every: 5s, times: often, inject: kill, target: leader, hold: 2s}"],
        ["6:21: times: write a whole number, not 'often'"],
    ),
    "never comes": (
        ["{every: 30s, inject: kill, target: leader, hold: 2s}"],
        ["6:9: fault 'kill-leader' may not come even once: its first one ends at 32s, and 'duration' is 20s"],
    ),
    "never comes before until": (
        ["{every: 5s, until: 6s, inject: kill, target: leader, hold: 2s}"],
        ["6:21: fault 'kill-leader' may not come even once: its first one ends at 7s, and 'until' is 6s"],
    ),
    "ends after duration": (
        ["{at: 10s, inject: kill, target: leader, hold: 10s}"],
        [
            "6:10: fault 'kill-leader' ends at 20s, but the scenario lasts 20s: make 'duration' longer, so that recovery can be seen"
        ],
    ),
    "condition": (
        ["{when: heathy, inject: kill, target: leader, hold: 2s}"],
        [
            "6:10: when: 'heathy' is no condition: write healthy, steady, or {healed: the name of a fault}; or a list of them"
        ],
    ),
    "condition list": (
        ["{when: [], inject: kill, target: leader, hold: 2s}"],
        [
            "6:10: when: an empty list is no condition: write healthy, steady, or {healed: the name of a fault}; or a list of them"
        ],
    ),
    "condition mapping": (
        ["{when: {heald: x}, inject: kill, target: leader, hold: 2s}"],
        [
            "6:10: when: {'heald': 'x'} is no condition: write healthy, steady, or {healed: the name of a fault}; or a list of them"
        ],
    ),
    "unknown healed": (
        ["{at: 1s, inject: kill, target: leader, hold: 2s}", "{when: {healed: kill-leadr}, inject: switchover}"],
        ["7:10: healed: no fault is called 'kill-leadr'; the faults are kill-leader, switchover-leader"],
    ),
    "circle": (
        [
            "{when: {healed: b}, name: a, inject: kill, target: leader, hold: 2s}",
            "{when: {healed: a}, name: b, inject: switchover}",
        ],
        ["6:10: healed: a waits for b waits for a: none of them would ever come"],
    ),
    "itself": (
        ["{when: {healed: a}, name: a, inject: kill, target: leader, hold: 2s}"],
        ["6:10: healed: a waits for a: none of them would ever come"],
    ),
    "circle of three": (
        [
            "{when: {healed: b}, name: a, inject: kill, target: leader, hold: 2s}",
            "{when: {healed: c}, name: b, inject: switchover}",
            "{when: [healthy, {healed: a}], name: c, inject: switchover}",
        ],
        ["6:10: healed: a waits for b waits for c waits for a: none of them would ever come"],
    ),
    "choose empty": (
        ["{at: 1s, choose: []}"],
        ["6:18: choose: write a list of one or more, each with 'inject'"],
    ),
    "choose a mapping": (
        ["{at: 1s, choose: {inject: kill}}"],
        ["6:18: choose: write a list of one or more, each with 'inject'"],
    ),
    "weight zero": (
        ["{at: 1s, choose: [{weight: 0, inject: kill, target: leader, hold: 2s}]}"],
        ["6:28: weight: write more than 0, not 0"],
    ),
    "weight in a sequence": (
        ["{at: 1s, sequence: [{weight: 1, inject: kill, target: leader, hold: 2s}]}"],
        ["6:30: unknown key 'weight'; did you mean 'wait'?"],
    ),
    "choice without inject": (
        ["{at: 1s, choose: [{target: leader}]}"],
        [f"6:27: 'inject' is missing; write one of: {', '.join(INJECTORS)}"],
    ),
    "choice with a time": (
        ["{at: 1s, choose: [{at: 1s, inject: kill, target: leader, hold: 2s}]}"],
        ["6:28: unknown key 'at'; write one of: inject, weight, target, hold"],
    ),
    "choose and inject": (
        ["{at: 1s, choose: [{inject: kill, target: leader, hold: 2s}], inject: kill, target: leader, hold: 2s}"],
        ["6:18: 'choose' and 'inject' exclude each other: keep one"],
    ),
    "key beside choose": (
        ["{at: 1s, choose: [{inject: kill, target: leader, hold: 2s}], target: leader}"],
        ["6:70: unknown key 'target'; write one of: choose, name, at, every, jitter, mtbf, from, until, times, when"],
    ),
    "target of a choice": (
        ["{at: 1s, choose: [{inject: switchover, target: etcd}]}"],
        ["6:48: switchover cannot hit 'etcd': it works on leader or replica"],
    ),
    "wait first": (
        ["{at: 1s, sequence: [{wait: 1s, inject: kill, target: leader, hold: 2s}]}"],
        ["6:30: 'wait' has no meaning before the first step: it is a pause between two"],
    ),
    "wait unit": (
        ["{at: 1s, sequence: [{inject: kill, target: leader, hold: 2s}, {wait: 1, inject: switchover}]}"],
        ["6:72: wait: 1 is not a duration: write a number with a unit (us, ms, s, m, h, d), as in 30s"],
    ),
    "sequence too long": (
        ["{every: 9s, sequence: [{inject: kill, target: leader, hold: 4s}, {inject: switchover, wait: 6s}]}"],
        ["6:10: fault 'sequence' holds for up to 10s, but comes again after 9s: make 'hold' shorter or 'every' longer"],
    ),
    "hold range reversed": (
        ["{at: 1s, inject: kill, target: leader, hold: 5s..2s}"],
        ["6:48: hold: '5s..2s' is no range: write the short end first, as in 10s..30s"],
    ),
    "hold range unit": (
        ["{at: 1s, inject: kill, target: leader, hold: 5..9s}"],
        ["6:48: hold: '5' is not a duration: write a number with a unit (us, ms, s, m, h, d), as in 30s"],
    ),
    "hold range of none": (
        ["{at: 1s, inject: switchover, hold: 5s..9s}"],
        [
            "6:38: unknown key 'hold'; write one of: inject, name, at, every, jitter, mtbf, from, until, times, when, target, candidate"
        ],
    ),
    "quorum": (
        ["{at: 1s, inject: pause, target: all etcd, hold: 2s}"],
        [
            "6:33: pause on 'all etcd' takes etcd's quorum away: allow it with 'allow_quorum_loss: true' in the scenario, or hit a minority"
        ],
    ),
    "quorum majority": (
        ["{at: 1s, inject: pause, target: etcd majority, hold: 2s}"],
        [
            "6:33: pause on 'etcd majority' takes etcd's quorum away: allow it with 'allow_quorum_loss: true' in the scenario, or hit a minority"
        ],
    ),
    "everything": (
        ["{at: 1s, inject: kill, target: all, hold: 2s}"],
        [
            "6:32: kill on 'all' disables more than one PostgreSQL node: allow it with 'allow_multi: true' in the scenario, or hit one node",
            "6:32: kill on 'all' takes etcd's quorum away: allow it with 'allow_quorum_loss: true' in the scenario, or hit a minority",
        ],
    ),
    "two nodes": (
        ["{at: 1s, inject: kill, target: 2 replicas, hold: 2s}"],
        [
            "6:32: kill on '2 replicas' disables more than one PostgreSQL node: allow it with 'allow_multi: true' in the scenario, or hit one node"
        ],
    ),
    "two names": (
        ["{at: 1s, inject: kill, target: [pg1, pg2], hold: 2s}"],
        [
            "6:32: kill on 'pg1, pg2' disables more than one PostgreSQL node: allow it with 'allow_multi: true' in the scenario, or hit one node"
        ],
    ),
    "two of a choice": (
        ["{at: 1s, choose: [{inject: kill, target: leader, hold: 2s}, {inject: kill, target: 'leader, replica'}]}"],
        [
            "6:9: kill on 'leader, replica' disables more than one PostgreSQL node: allow it with 'allow_multi: true' in the scenario, or hit one node"
        ],
    ),
    "overlap": (
        ["{at: 1s, inject: kill, target: pgpool1, hold: 5s}", "{at: 3s, inject: pause, target: pgpool1, hold: 2s}"],
        [
            "7:10: fault 'pause-pgpool1' comes at 3s, while 'kill-pgpool1' (until 6s) has hold of the same part: let the second come after 6s"
        ],
    ),
    "overlap of nodes": (
        ["{at: 1s, inject: kill, target: leader, hold: 5s}", "{at: 3s, inject: pause, target: replica, hold: 2s}"],
        [
            "7:10: faults 'kill-leader' and 'pause-replica' disable two PostgreSQL nodes at 3s: let the second come after 6s, or write 'allow_multi: true' in the scenario"
        ],
    ),
    "at once": (
        ["{at: 1s, inject: switchover}", "{at: 1s, inject: switchover, name: other}"],
        [
            "7:10: fault 'other' comes at 1s, while 'switchover-leader' (until 1s) has hold of the same part: let the second come after 1s"
        ],
    ),
    "target a list of numbers": (
        ["{at: 1s, inject: kill, target: [1, 2]}"],
        ["6:32: target: write text, not a list"],
    ),
    "target word": (
        ["{at: 1s, inject: kill, target: replicas}"],
        ["6:32: no target 'replicas': did you mean 'all replicas'?"],
    ),
    "name of an occurrence": (
        ["{every: 6s, name: a, inject: kill, target: leader, hold: 2s}", "{at: 15s, name: a-2, inject: switchover}"],
        ["7:9: two faults are called 'a-2'; give one a 'name' of its own"],
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_schedule_is_told_in_a_line(case: str, tmp_path: Path):
    entries, expected = BAD[case]
    file = write(tmp_path, faults(*entries))
    with pytest.raises(ScenarioFileError) as raised:
        load(file)
    assert str(raised.value).splitlines() == [f"{file}:{line}" for line in expected]
    assert raised.value.exit_code == 2


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("conflict: waits", "conflict: 'waits' is not known; did you mean 'wait'?"),
        ("allow_multi: please", "allow_multi: write true or false, not 'please'"),
        ("allow_qorum_loss: true", "unknown key 'allow_qorum_loss'; did you mean 'allow_quorum_loss'?"),
    ],
)
def test_a_bad_permit_is_told_in_a_line(line: str, said: str, tmp_path: Path):
    with pytest.raises(ScenarioFileError) as raised:
        load(write(tmp_path, scenario(f"    {line}\n")))
    assert [problem.message for problem in raised.value.problems] == [said]


def good(tmp_path: Path, *entries: str, extra: str = "") -> tuple[ScheduledFault, ...]:
    (found,) = load(write(tmp_path, faults(*entries) + extra)).scenarios
    return found.faults


def test_what_the_keys_of_a_schedule_mean(tmp_path: Path):
    (fault,) = good(
        tmp_path,
        "{every: 6s, jitter: 1s, from: 2s, until: 18s, times: 3, when: [healthy, {healed: kill-pg1}], inject: switchover}",
        "{at: 1s, inject: kill, target: pg1, hold: 2s..4s}",
    )[:1]
    assert fault.name == "switchover-leader"
    assert fault.schedule == Schedule(
        every=6.0,
        jitter=1.0,
        start=2.0,
        end=18.0,
        times=3,
        conditions=(Condition(State.HEALTHY), Condition(State.HEALED, "kill-pg1")),
    )


def test_a_range_of_holds_keeps_both_ends(tmp_path: Path):
    (fault,) = good(tmp_path, "{at: 1s, inject: kill, target: [pg1], hold: 2s..4s}")
    (action,) = fault.actions
    assert action.injector == Kill(target="pg1", hold="4s")  # type: ignore[arg-type]
    assert action.span == Span(2.0, 4.0)
    assert fault.schedule.end == math.inf


def test_choices_and_steps(tmp_path: Path):
    choice, steps = good(
        tmp_path,
        "{at: 1s, choose: [{inject: switchover, weight: 3}, {inject: kill, target: pgpool, hold: 1s}]}",
        "{at: 5s, sequence: [{inject: switchover}, {inject: kill, target: pgpool, hold: 1s, wait: 2s}]}",
    )
    assert (choice.name, choice.mode, [action.span.weight for action in choice.actions]) == (
        "choose",
        Mode.CHOOSE,
        [3, 1],
    )
    assert (steps.name, steps.mode, [action.span.wait for action in steps.actions]) == (
        "sequence",
        Mode.SEQUENCE,
        [0, 2],
    )
    assert (choice.numbered, steps.numbered) == (False, True)


def test_names_never_meet_those_of_occurrences(tmp_path: Path):
    kill = "inject: kill, target: pgpool, hold: 1s"
    found = good(tmp_path, f"{{every: 5s, {kill}}}", f"{{at: 1s, {kill}}}", f"{{every: 7s, {kill}}}")
    assert [fault.name for fault in found] == ["kill-pgpool", "kill-pgpool-entry-2", "kill-pgpool-entry-3"]


@pytest.mark.parametrize(
    ("entry", "permit"),
    [
        ("{at: 1s, inject: pause, target: all etcd, hold: 2s}", "allow_quorum_loss"),
        ("{at: 1s, inject: kill, target: 2 replicas, hold: 2s}", "allow_multi"),
    ],
)
def test_a_permit_lets_it_through(entry: str, permit: str, tmp_path: Path):
    assert good(tmp_path, entry, extra=f"    {permit}: true\n")


def test_what_to_do_about_conflicts(tmp_path: Path):
    (found,) = load(write(tmp_path, scenario("    conflict: skip\n"))).scenarios
    assert found.conflict is OnConflict.SKIP
