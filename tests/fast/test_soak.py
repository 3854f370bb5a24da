"""Soaks on virtual time: bounds, settling, roll-ups, and going on after an end of chaosbench itself."""

from __future__ import annotations

import asyncio
import gc
import io
import json
import math
import tracemalloc
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter
from rich.console import Console
from test_run import Rig, kill, scenario

from chaosbench.errors import ClusterUnavailable, ScenarioFileError, UsageError
from chaosbench.events import Kind
from chaosbench.model.cluster import Snapshot
from chaosbench.model.report import Summary, Verdict
from chaosbench.model.scenario import StreamSettings
from chaosbench.render import terminal
from chaosbench.scenarios.asked import Asked, asked
from chaosbench.scenarios.loader import load
from chaosbench.scenarios.plan import planned
from chaosbench.scenarios.plan_table import as_json, table
from chaosbench.scenarios.run import run_scenario
from chaosbench.scenarios.scenario import Action, Scenario, ScheduledFault, Stream
from chaosbench.scenarios.turns import Run, scenarios_in_turn
from chaosbench.schedule import Schedule, Span
from chaosbench.units import Budget, parse_budget
from chaosbench.workload import LedgerWorkload

SCENARIOS = Path(__file__).parents[2] / "scenarios"

pytestmark = pytest.mark.looptime(noop_cycles=0)


def often(mtbf: float = 20.0, hold: str = "2s") -> ScheduledFault:
    injector = kill(hold=hold)
    action = Action(injector=injector, span=Span(injector.hold, injector.hold))
    return ScheduledFault(name="often", schedule=Schedule(mtbf=mtbf), actions=(action,))


def soak(*faults: ScheduledFault, rate: str = "20/s", **changes: object) -> Scenario:
    stream = Stream(
        name="ledger",
        workload=LedgerWorkload(),
        settings=StreamSettings(rate=rate, connections=2),  # type: ignore[arg-type]
    )
    usual: dict[str, Any] = {"duration": 180.0, "settle": 20.0, "rollup": 70.0, "streams": (stream,)}
    return replace(scenario(**{**usual, **changes}), faults=faults)


class Soaking(Rig):
    """A bench that keeps its results in a directory."""

    def __init__(self, directory: Path, before: Soaking | None = None) -> None:
        super().__init__()
        if before is not None:
            self.database.rows = before.database.rows  # the cluster outlives chaosbench
            self.database.rows.arrive()
            self.database.rows.server, self.database.rows.database = self.server, self.database
        self.bench = replace(self.bench, directory=directory)

    async def soak(self, planned: Scenario) -> Summary:
        return await run_scenario(planned, self.bench)

    def of(self, kind: Kind) -> list[dict[str, object]]:
        return [dict(event.data) for event in self.watcher.events if event.kind is kind]


async def test_a_soak_settles_its_ledger_and_rolls_up(tmp_path: Path):
    rig = Soaking(tmp_path)
    summary = await rig.soak(soak(often(60.0), expect={"rpo": "== 0", "unexpected": "== 0"}))
    assert summary.verdict is Verdict.PASS, summary.why
    ledger, own = summary.ledger, summary.soak
    assert ledger is not None
    assert own is not None
    assert own.settled is not None
    assert (ledger.lost, ledger.unexpected, ledger.checked) == (0, 0, True)
    assert ledger.attempted == ledger.acked + ledger.failed + ledger.unknown
    assert own.settled.upto > 1500
    assert own.settled.rows == sum(rig.database.rows.dropped) > 1300
    left = sum(map(len, rig.database.rows.there.values()))
    assert left + own.settled.rows == ledger.acked + (ledger.recovered or 0)
    assert max(rig.database.rows.dropped) <= 2000
    assert [json.loads((tmp_path / "rollups" / f"00{n}.json").read_text())["number"] for n in (1, 2)] == [1, 2]
    assert "roll-up 2: pass so far" in (tmp_path / "rollups" / "002.md").read_text()
    told = [json.loads(line)["name"] for line in (tmp_path / "faults.jsonl").read_text().splitlines()]
    assert told == [fault.name for fault in summary.faults]
    assert own.fault_table[0].recovered == len(told) == own.fault_table[0].rto_s.n
    assert own.fault_table[0].rto_s.worst == max(fault.rto_s or 0 for fault in summary.faults)


async def test_rows_that_are_lost_are_found_when_they_are_settled_and_stay_found(tmp_path: Path):
    rig = Soaking(tmp_path)
    rig.database.loses = frozenset({300, 301})
    summary = await rig.soak(soak(expect={"rpo": "== 0"}))
    assert (summary.verdict, summary.why) == (Verdict.FAIL, "rpo == 0")
    assert summary.ledger is not None
    assert summary.ledger.lost_ids == (300, 301)
    assert summary.ledger.losses is not None
    found = [each["lost"] for each in rig.of(Kind.LEDGER_SETTLED)]
    assert found == [2] + [0] * (len(found) - 1), "found once, and early"
    assert len(found) > 3


async def test_a_checkpoint_that_is_gone_is_noticed_and_its_rows_count_as_lost(tmp_path: Path):
    rig = Soaking(tmp_path)
    rig.at(125, lambda: rig.database.rows.kept["pg2"].pop(1))
    summary = await rig.soak(soak(expect={"rpo": "== 0"}))
    assert summary.verdict is Verdict.FAIL
    own = summary.soak
    assert own is not None
    assert own.settled is not None
    assert summary.ledger is not None
    assert (own.settled.gone, summary.ledger.lost) == (1, own.settled.gone_rows)
    assert own.settled.gone_rows > 100
    assert [each["gone"] for each in rig.of(Kind.LEDGER_SETTLED)].count(1) == 1


async def test_a_node_that_does_not_replay_keeps_rows_from_being_settled(tmp_path: Path):
    rig = Soaking(tmp_path)
    rig.database.rows.lags = frozenset({"pg3"})
    summary = await rig.soak(soak())
    assert summary.soak is not None
    assert summary.soak.settled is not None
    assert (summary.soak.settled.checkpoints, rig.database.rows.dropped) == (0, [])
    assert summary.ledger is not None
    assert summary.ledger.lost == 0


async def killed(rig: Soaking, planned: Scenario, after: float) -> None:
    """As by SIGKILL: nothing that comes at an end is done, and what was not on disk is gone."""
    doomed = asyncio.create_task(rig.soak(planned))
    rig.at(after, doomed.cancel)
    with pytest.raises(asyncio.CancelledError):
        await doomed


async def test_a_killed_soak_goes_on_with_its_figures_faults_and_ledger(tmp_path: Path):
    planned = soak(often(25.0), expect={"rpo": "== 0", "unexpected": "== 0"})
    first = Soaking(tmp_path)
    await killed(first, planned, 115.0)
    state = json.loads((tmp_path / "state.json").read_text())
    assert not state["ended"]
    before = [json.loads(line)["name"] for line in (tmp_path / "faults.jsonl").read_text().splitlines()]
    assert len(before) >= 2
    second = Soaking(tmp_path, first)
    summary = await second.soak(planned)
    assert summary.verdict is Verdict.PASS, summary.why
    (resumed,) = second.of(Kind.RESUMED)
    assert resumed["elapsed_s"] == pytest.approx(108, abs=6)
    own, ledger = summary.soak, summary.ledger
    assert own is not None
    assert ledger is not None
    assert own.settled is not None
    assert [(one.number, one.ended) for one in own.segments] == [(1, False), (2, True)]
    assert own.segments[1].from_s == own.segments[0].to_s
    assert own.segments[1].gap_s is not None
    assert summary.duration_s == pytest.approx(180, abs=0.1)
    load = summary.load
    assert load.attempted == load.ok + load.failed + load.unknown + load.shed + load.in_flight
    assert load.attempted == pytest.approx(180 * 20, rel=0.02), "of both segments"
    assert summary.latency_ms.response.count == load.ok
    names = [fault.name for fault in summary.faults]
    assert names[: len(before)] == before
    assert len(set(names)) == len(names), "no fault came twice"
    counts = ("recovered", "unnoticed", "not_recovered", "trouble", "skipped")
    assert sum(getattr(row, name) for row in own.fault_table for name in counts) == len(names)
    told = [json.loads(line)["name"] for line in (tmp_path / "faults.jsonl").read_text().splitlines()]
    assert set(told) <= set(names)
    assert len(set(told)) == len(told)
    assert {row.entry for row in own.fault_table} == {"often"}
    assert all(window.fault in names for window in summary.error_windows)
    assert len(summary.error_windows) >= 5
    # Rows that were acknowledged after the last entry of the log are unknown, and found.
    assert (ledger.lost, ledger.unexpected) == (0, 0)
    assert ledger.attempted == ledger.acked + ledger.failed + ledger.unknown
    left = sum(map(len, second.database.rows.there.values()))
    assert left + own.settled.rows == ledger.acked + (ledger.recovered or 0)


def cut_short(directory: Path) -> None:
    """As when chaosbench was killed while it wrote the last entry."""
    log = sorted(directory.glob("ledger-*.log"))[-1]
    log.write_bytes(log.read_bytes()[:-7])


async def test_rows_after_the_last_entry_of_the_log_are_unknown_and_not_lost(tmp_path: Path):
    planned = soak(rate="100/s", duration=60.0)
    first = Soaking(tmp_path)
    await killed(first, planned, 40.5)
    cut_short(tmp_path)
    second = Soaking(tmp_path, first)
    summary = await second.soak(planned)
    assert summary.soak is not None
    assert summary.soak.settled is not None
    assert summary.ledger is not None
    assert (summary.ledger.lost, summary.ledger.unexpected) == (0, 0)
    # One more was on its way when the last whole entry was written.
    assert 50 < summary.soak.settled.unlogged == (summary.ledger.recovered or 0) - summary.ledger.unknown
    assert summary.ledger.unknown <= 1


async def test_a_soak_that_was_stopped_goes_on_without_a_loss(tmp_path: Path):
    planned = soak(often(25.0))
    first = Soaking(tmp_path)
    first.at(80.0, first.bench.stop.set)
    stopped = await first.soak(planned)
    assert (stopped.verdict, stopped.stopped_early) == (Verdict.UNKNOWN, True)
    second = Soaking(tmp_path, first)
    summary = await second.soak(planned)
    assert (summary.verdict, summary.stopped_early) == (Verdict.PASS, False), summary.why
    own, ledger = summary.soak, summary.ledger
    assert own is not None
    assert own.settled is not None
    assert ledger is not None
    assert [one.ended for one in own.segments] == [True, True]
    assert own.settled.unlogged == 0
    assert (ledger.lost, ledger.unexpected, ledger.unknown) == (0, 0, 0)
    assert summary.load.ok > stopped.load.ok > 1200
    assert summary.load.attempted == pytest.approx(180 * 20, rel=0.01)
    names = [fault.name for fault in summary.faults]
    assert names[: len(stopped.faults)] == [fault.name for fault in stopped.faults]


async def test_an_engine_that_does_not_answer_holds_up_settling_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    rig = Soaking(tmp_path)
    answers = rig.cluster.snapshot
    away = False

    async def snapshot(*patience: float) -> Snapshot:
        task = asyncio.current_task()
        assert task is not None
        if away and "follows" not in repr(task.get_coro()):  # what clients see of it goes on
            raise ClusterUnavailable("the engine does not answer")
        return await answers(*patience)

    def goes() -> None:
        nonlocal away
        away = True

    def comes() -> None:
        nonlocal away
        away = False

    monkeypatch.setattr(rig.cluster, "snapshot", snapshot)
    rig.at(75, goes)
    rig.at(130, comes)
    summary = await rig.soak(soak(often(15.0), cool_down=5.0, duration=170.0))
    started_ns = summary.started_monotonic_ns
    settled = [(event.at_ns - started_ns) / 1e9 for event in rig.watcher.events if event.kind is Kind.LEDGER_SETTLED]
    assert not [at for at in settled if 74 < at < 128]
    assert [at for at in settled if at >= 128]
    assert summary.ledger is not None
    assert summary.ledger.lost == 0
    assert any("does not answer" in warning for warning in summary.warnings)


async def test_rows_lost_while_chaosbench_was_away_are_lost(tmp_path: Path):
    planned = soak(rate="100/s", duration=60.0)
    first = Soaking(tmp_path)
    await killed(first, planned, 40.5)
    second = Soaking(tmp_path, first)
    second.database.loses = frozenset({5, 3500})
    summary = await second.soak(planned)
    assert summary.ledger is not None
    assert summary.ledger.lost_ids == (5, 3500)


async def test_until_stopped_ends_well_when_it_is_stopped(tmp_path: Path):
    rig = Soaking(tmp_path)
    rig.at(60, rig.bench.stop.set)
    summary = await rig.soak(soak(often(30.0), duration=math.inf))
    assert (summary.verdict, summary.stopped_early) == (Verdict.PASS, False), summary.why
    assert summary.duration_s == pytest.approx(58.5, abs=1)
    (started,) = rig.of(Kind.SCENARIO_STARTED)
    assert started["duration_s"] is None
    assert len(started["faults"]) == 1000  # type: ignore[arg-type]


# Cool-down and budget


async def test_a_budget_holds_faults_back_and_says_so(tmp_path: Path):
    rig = Soaking(tmp_path)
    summary = await rig.soak(soak(often(10.0), budget=Budget(2, 60.0)))
    t0s = [fault.injecting_at_s for fault in summary.faults if fault.injecting_at_s is not None]
    assert 4 <= len(t0s) <= 7
    assert all(third - first >= 60 for first, third in zip(t0s, t0s[2:], strict=False))
    skipped = [fault.skipped for fault in summary.faults if fault.skipped]
    assert skipped
    assert all("the budget of 2/m" in reason for reason in skipped)
    assert summary.verdict is Verdict.PASS, summary.why


async def test_without_a_budget_there_are_more(tmp_path: Path):
    summary = await Soaking(tmp_path).soak(soak(often(10.0)))
    assert len([fault for fault in summary.faults if fault.skipped is None]) > 8


async def test_a_cool_down_counts_from_the_whole_cluster(tmp_path: Path):
    rig = Soaking(tmp_path)
    one = ScheduledFault.once("one", 10.0, kill(hold="5s"))
    two = ScheduledFault.once("two", 12.0, kill("replica", hold="5s"))
    summary = await rig.soak(soak(one, two, duration=60.0, cool_down=10.0))
    first, second = summary.faults
    assert first.healed_at_s is not None
    assert second.injecting_at_s is not None
    assert second.injecting_at_s >= first.healed_at_s + 10
    assert second.injecting_at_s == pytest.approx(first.healed_at_s + 10, abs=2)
    assert "cool-down" in str(rig.of(Kind.FAULT_WAITING)[0]["reason"])


@pytest.mark.parametrize("text", ["6", "0/h", "1.5/h", "6/s", "x"])
def test_a_budget_is_a_whole_number_in_a_time(text: str):
    with pytest.raises(ValueError, match="6/h"):
        parse_budget(text)


# The cluster away for an hour


async def test_an_outage_without_end_in_sight_costs_no_memory(tmp_path: Path):
    """Minutes stand for the hour: what is held after one is held after two."""
    rig = Soaking(tmp_path)
    planned = soak(rate="20/s", duration=160.0, recovery=30.0, rollup=0.0)
    sizes: list[int] = []

    def down() -> None:
        rig.server.behaviour = rig.server.fails(ConnectionResetError("away"))
        rig.server.dies()

    def up() -> None:
        rig.server.accepts, rig.server.behaviour = True, rig.server.follows

    def look() -> None:
        gc.collect()
        sizes.append(tracemalloc.get_traced_memory()[0])

    tracemalloc.start()
    rig.at(20, down)
    rig.at(70, look)
    rig.at(130, look)
    rig.at(135, up)
    summary = await rig.soak(planned)
    tracemalloc.stop()
    assert summary.load.shed > 2000
    assert summary.ledger is not None
    assert summary.ledger.attempted < 1500, "what is never sent takes no id"
    assert summary.ledger.lost == 0
    assert len(summary.error_windows) < 10
    assert sizes[1] - sizes[0] < 100_000


# From the command line: where it goes, and what is gone on with

FILE = """
seed: 3
scenarios:
  week:
    duration: DURATION
    settle: 20s
    warm_up: 0s
    load: {workload: ledger, rate: 20/s, connections: 2}
"""


def written(tmp_path: Path, duration: str = "60s") -> Path:
    file = tmp_path / "soak.yaml"
    file.write_text(FILE.replace("DURATION", duration))
    return file


async def in_turn(rig: Rig, wanted: Asked, file: Path, out: Path) -> int:
    found, scenarios, series = wanted
    bench = replace(rig.bench, scenario_file=found.text, seed=3)
    console = Console(file=io.StringIO(), width=100)
    return await scenarios_in_turn(
        Run(bench=bench, file=file, scenarios=scenarios, out=out, console=console, resume=series)
    )


def auto(file: Path, out: Path) -> Asked:
    return asked(file, (), None, Path("auto"), None, out)


async def test_auto_begins_goes_on_and_begins_anew(tmp_path: Path):
    file, out = written(tmp_path), tmp_path / "runs"
    rig = Rig()
    assert auto(file, out)[2] is None, "nothing to go on with"
    doomed = asyncio.create_task(in_turn(rig, auto(file, out), file, out))
    rig.at(30.0, doomed.cancel)
    with pytest.raises(asyncio.CancelledError):
        await doomed
    wanted = auto(file, out)
    assert wanted[2] is not None
    second = Rig()
    second.database.rows = rig.database.rows
    second.database.rows.arrive()
    second.database.rows.server, second.database.rows.database = second.server, second.database
    assert await in_turn(second, wanted, file, out) == 0
    found = json.loads((wanted[2].path / "summary.json").read_text())
    assert [one["number"] for one in found["soak"]["segments"]] == [1, 2]
    shown = Console(file=io.StringIO(), width=120)
    terminal.show(TypeAdapter(Summary).validate_python(found), shown)
    assert isinstance(shown.file, io.StringIO)
    assert "segment  2: " in shown.file.getvalue()
    assert "ledger rows in " in shown.file.getvalue()
    assert auto(file, out)[2] is None, "it is complete"
    with pytest.raises(UsageError, match="is complete"):
        asked(file, (), None, wanted[2].path, None, out)
    other = written(tmp_path, "61s")
    assert auto(other, out)[2] is None, "of another text of the file"


async def test_one_that_lasts_until_it_is_stopped_is_never_complete(tmp_path: Path):
    file, out = written(tmp_path, "until stopped"), tmp_path / "runs"
    rig = Rig()
    rig.at(20.0, rig.bench.stop.set)
    assert await in_turn(rig, auto(file, out), file, out) == 0
    assert auto(file, out)[2] is not None


def test_auto_needs_a_file(tmp_path: Path):
    with pytest.raises(UsageError, match="name the scenario file"):
        asked(None, (), None, Path("auto"), None, tmp_path)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (["duration: 60s", "budget: 6 an hour"], "4:5: budget: '6 an hour' is no budget: write a whole number per"),
        (["duration: 60s", "cool_down: 5"], "4:5: cool_down: 5 is not a duration: write a number with a unit"),
        (["duration: until monday"], "3:5: duration: 'until monday' is not a duration"),
        (["duration: 60s", "trials: 3", "settle: 1m"], "5:5: 'settle' and 'trials' exclude each other"),
        (["duration: until stopped", "trials: 3"], "3:5: duration: trials must end: write how long each lasts"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(tmp_path: Path, keys: list[str], said: str):
    file = tmp_path / "soak.yaml"
    body = "".join(f"    {line}\n" for line in [*keys, "load: {workload: ledger, rate: 1/s}"])
    file.write_text(f"scenarios:\n  a:\n{body}")
    with pytest.raises(ScenarioFileError) as found:
        load(file)
    assert said in str(found.value)


def test_a_day_or_more_is_a_soak_by_default(tmp_path: Path):
    file = tmp_path / "soak.yaml"
    for duration, soaks in (("23h", False), ("1d", True), ("until stopped", True)):
        file.write_text(f"scenarios:\n  a:\n    duration: {duration}\n    load: {{workload: ledger, rate: 1/s}}\n")
        (found,) = load(file).scenarios
        assert found.soak is soaks
        assert (found.settle, found.rollup) == ((600.0, 86_400.0) if soaks else (0.0, 0.0))
    assert found.endless


def test_an_endless_plan_is_shown_in_part_and_is_the_same_every_time():
    endless = soak(often(20.0), duration=math.inf, budget=Budget(6, 3600.0), cool_down=30.0)
    lines = list(table(endless, 5, None))
    assert lines == list(table(endless, 5, None))
    assert lines[0].startswith("test: until stopped of load")
    assert "and so on" in lines[-2]
    assert "at most 6/h faults" in lines[-1]
    (plan,) = json.loads(as_json([endless], 5))["plans"]
    assert (plan["duration_s"], plan["more"], len(plan["faults"])) == (None, True, 1000)


def test_the_soaks_that_come_along_are_good():
    (week,) = load(SCENARIOS / "soak.yaml").scenarios
    (fast,) = load(SCENARIOS / "soak-fast.yaml").scenarios
    assert week.duration == 7 * 86_400
    assert {action.injector.kind for entry in week.faults for action in entry.actions} >= {
        "kill",
        "pause",
        "switchover",
    }
    assert week.soak
    assert fast.soak
    assert all(20 <= len(list(islice(planned(fast, seed), 100))) <= 60 for seed in range(20))
