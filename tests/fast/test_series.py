"""A scenario repeated, on virtual time: each trial's own seed, phase, directory; resuming; a cluster that breaks."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, make_dataclass, replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from rich.console import Console
from summaries import FAULT, summary
from test_run import Rig, kill, scenario

from chaosbench.errors import UsageError
from chaosbench.events import Event, Kind
from chaosbench.model.report import Generator, Verdict
from chaosbench.model.scenario import StreamSettings
from chaosbench.model.trials import TrialReport, TrialsReport, TrialState
from chaosbench.recorder.recorder import Recorder
from chaosbench.render import trials as rendered
from chaosbench.results import RunDirectory
from chaosbench.scenarios.plan import planned as planned_faults
from chaosbench.scenarios.scenario import Scenario, Stream
from chaosbench.scenarios.series import series_record
from chaosbench.scenarios.series_files import SeriesDirectory, trials_schema, trials_schema_text
from chaosbench.scenarios.trials import phase_offset, trial_of, trial_seed
from chaosbench.scenarios.trials_report import Ended, _figures, trials_report
from chaosbench.scenarios.turns import Run, scenarios_in_turn
from chaosbench.workload import LedgerWorkload

pytestmark = pytest.mark.looptime(noop_cycles=0)

PUBLISHED = Path(__file__).parents[2] / "docs" / "trials.schema.json"


class OnTrial:
    """A sink that calls something when a trial begins."""

    name = "on-trial"

    def __init__(self, calls: Mapping[int, Callable[[], object]]) -> None:
        self.calls = calls
        self.begun: list[int] = []

    def on_event(self, event: Event) -> None:
        if event.kind is Kind.TRIAL_STARTED:
            self.begun.append(event.data["trial"])
            self.calls.get(event.data["trial"], lambda: None)()

    def on_tick(self, recorder: Recorder) -> None:
        pass

    def close(self) -> None:
        pass


@dataclass
class Outcome:
    """One run: what it printed, its exit code, and the trials that it began."""

    code: int
    said: str
    begun: list[int]


async def run(
    rig: Rig, out: Path, *scenarios: Scenario, calls: Mapping[int, Callable[[], object]] | None = None, **options: Any
) -> Outcome:
    watching = OnTrial(calls or {})
    rig.bench.hub.add(watching)
    console = Console(file=io.StringIO(), width=100)
    code = await scenarios_in_turn(
        Run(bench=rig.bench, file=Path("f.yaml"), scenarios=scenarios, out=out, console=console, **options)
    )
    assert isinstance(console.file, io.StringIO)
    return Outcome(code, console.file.getvalue(), watching.begun)


def repeated(trials: int = 3, **changes: Any) -> Scenario:
    few = StreamSettings(rate="40/s", connections=2)  # type: ignore[arg-type]
    short = {
        "streams": (Stream(name="ledger", workload=LedgerWorkload(), settings=few),),
        "duration": 9.0,
        "warm_up": 0.0,
        "loop_wait": 2.0,
    }
    return scenario((1.0, kill()), **{"trials": trials, **short, **changes})


def series_of(out: Path) -> Path:
    (path,) = out.glob("*-test")
    return path


def left_by(out: Path, pattern: str) -> int:
    return len(list(out.glob(pattern)))


def told(series: Path) -> Any:
    found = json.loads((series / "trials.json").read_text())
    jsonschema.validate(found, trials_schema(), cls=jsonschema.Draft202012Validator)
    return found


def states(series: Path) -> list[str]:
    return [trial["state"] for trial in told(series)["trials"]]


def metric(report: Any, name: str, fault: str | None = None) -> Any:
    (found,) = (one for one in report["metrics"] if (one["metric"], one["fault"]) == (name, fault))
    return found


# Seeds and phases


def test_a_trials_seed_and_phase_are_the_documented_ones():
    """Written down, so that no later version derives others."""
    assert [trial_seed(20260, number) for number in (1, 2, 3)] == [1752348456, 1157953263, 675873886]
    assert phase_offset(trial_seed(20260, 1), 5.0) == 1.48


def test_phases_are_spread_over_the_loop_and_faults_keep_their_distances():
    planned = scenario((1.0, kill()), (4.0, kill()), trials=100, duration=30.0)
    trials = [trial_of(planned, 7, number) for number in range(1, 101)]
    offsets = [trial.phase_offset_s for trial in trials]
    assert 0 <= min(offsets) < 0.5 and 4.5 < max(offsets) < 5.0
    assert sum(offsets) / 100 == pytest.approx(2.5, abs=0.5)
    assert len({trial.seed for trial in trials}) == 100
    for trial in trials:
        first, second = planned_faults(trial.scenario, trial.seed)
        assert (first.at, second.at) == (pytest.approx(1 + trial.phase_offset_s), pytest.approx(first.at + 3))


def test_without_a_loop_there_is_no_offset():
    assert trial_of(scenario((1.0, kill()), trials=2, loop_wait=0.0), 7, 1).phase_offset_s == 0


# A series


async def test_each_trial_has_its_directory_and_the_series_its_figures(tmp_path: Path):
    rig = Rig()
    ended = await run(rig, tmp_path, repeated(expect={"rto": "<= 5s"}))
    series = series_of(tmp_path)
    assert (ended.code, ended.begun) == (0, [1, 2, 3])
    assert sorted(path.name for path in series.iterdir()) == [
        "series.json",
        "trial-01",
        "trial-02",
        "trial-03",
        "trials.json",
    ]
    report = told(series)
    rto = metric(report, "rto")
    assert rto["values"] == pytest.approx([4.0] * 3, abs=0.05)
    assert rto["spread"]["n"] == 3
    assert rto["spread"]["low"] <= rto["spread"]["median"] <= rto["spread"]["high"]
    assert metric(report, "rto", "kill-1")["values"] == rto["values"]
    assert {"p50", "p90", "p99", "p999", "error_rate", "rpo", "write_gap"} <= {m["metric"] for m in report["metrics"]}
    for number, trial in enumerate(report["trials"], start=1):
        own = json.loads((series / trial["directory"] / "summary.json").read_text())
        assert trial["seed"] == own["seed"] == trial_seed(1, number)
        assert own["faults"][0]["planned_at_s"] == pytest.approx(1 + trial["phase_offset_s"])
        assert own["faults"][0]["injecting_at_s"] == pytest.approx(1 + trial["phase_offset_s"], abs=0.01)
        events = (series / trial["directory"] / "events.jsonl").read_text().splitlines()
        first = json.loads(events[0])
        assert (first["kind"], first["trial"], first["trials"]) == ("trial_started", number, 3)
    assert (report["verdict"], report["why"]) == ("pass", "")
    assert "PASS  test, 3 trials" in ended.said
    assert "95 % interval" in ended.said
    assert "fewer than 6 trials" in ended.said
    assert "--resume" not in ended.said


async def test_the_healthy_gate_stands_between_trials(tmp_path: Path):
    rig = Rig()
    await run(rig, tmp_path, repeated(2))
    for number in (1, 2):
        events = (series_of(tmp_path) / f"trial-0{number}" / "events.jsonl").read_text().splitlines()
        stages = [json.loads(line)["name"] for line in events if json.loads(line)["kind"] == "stage"]
        assert (stages[0], stages[-2]) == ("health", "recover")


async def test_one_trial_can_be_repeated_alone(tmp_path: Path):
    await run(Rig(), tmp_path / "all", repeated())
    ended = await run(Rig(), tmp_path / "one", repeated(), trial=2)
    assert ended.begun == [2]
    (alone,) = told(series_of(tmp_path / "one"))["trials"]
    assert alone == told(series_of(tmp_path / "all"))["trials"][1]
    plans = [
        json.loads((series_of(tmp_path / where) / "trial-02" / "summary.json").read_text())["faults"][0]["planned_at_s"]
        for where in ("all", "one")
    ]
    assert plans[0] == plans[1]


async def test_the_verdict_is_the_worst_of_the_trials(tmp_path: Path):
    rig = Rig()
    slower = {
        2: lambda: setattr(rig.cluster, "failover_delay", 4.8),
        3: lambda: setattr(rig.cluster, "failover_delay", 4),
    }
    ended = await run(rig, tmp_path, repeated(expect={"rto": "<= 4500ms"}), calls=slower)
    report = told(series_of(tmp_path))
    assert ended.code == 1
    assert [trial["verdict"] for trial in report["trials"]] == ["pass", "fail", "pass"]
    assert (report["verdict"], report["why"]) == ("fail", "1 of 3 trials did not pass, as trial 2: rto <= 4500ms")
    rto = metric(report, "rto")["spread"]
    assert (rto["median"], rto["max"]) == (pytest.approx(4, abs=0.05), pytest.approx(4.8, abs=0.05))


async def test_a_scenario_without_trials_keeps_its_plain_directory(tmp_path: Path):
    ended = await run(Rig(), tmp_path, scenario((1.0, kill(hold="1s"))))
    assert ended.begun == []
    assert sorted(path.name for path in series_of(tmp_path).iterdir()) == [
        "containers.jsonl",
        "events.jsonl",
        "faults.jsonl",
        "intervals.hlog",
        "summary.json",
        "usage.jsonl",
    ]


# Resuming


async def test_a_series_cancelled_in_its_third_trial_resumes_there(tmp_path: Path):
    rig, planned = Rig(), repeated(5)
    doomed = asyncio.create_task(run(rig, tmp_path, planned, calls={3: lambda: rig.at(4.0, lambda: doomed.cancel())}))
    with pytest.raises(asyncio.CancelledError):
        await doomed
    series = series_of(tmp_path)
    assert rig.whole(), "a cancellation heals"
    assert states(series) == ["done", "done", "not run", "not run", "not run"]
    assert told(series)["verdict"] == "unknown"
    before = {number: (series / f"trial-0{number}" / "summary.json").read_bytes() for number in (1, 2)}
    assert not (series / "trial-03" / "summary.json").exists()

    again = await run(Rig(), tmp_path, planned, resume=SeriesDirectory.reopen(series))
    assert (again.code, again.begun) == (0, [3, 4, 5])
    assert {number: (series / f"trial-0{number}" / "summary.json").read_bytes() for number in (1, 2)} == before
    assert states(series) == ["done"] * 5
    assert metric(told(series), "rto")["spread"]["n"] == 5
    assert (series / "trial-03-unfinished-1" / "events.jsonl").exists(), "what it left is kept"

    derived = [trial_of(planned, 1, number) for number in range(1, 6)]
    assert [(one["seed"], one["phase_offset_s"]) for one in told(series)["trials"]] == [
        (trial.seed, trial.phase_offset_s) for trial in derived
    ], "the same seeds and offsets as in one go"

    done = await run(Rig(), tmp_path, planned, resume=SeriesDirectory.reopen(series))
    assert (done.code, done.begun) == (0, []), "nothing is left to do"


async def test_a_trial_that_was_stopped_early_is_run_again_and_never_counted(tmp_path: Path):
    rig, planned = Rig(), repeated()
    ended = await run(rig, tmp_path, planned, calls={2: lambda: rig.at(3.0, rig.bench.stop.set)})
    series = series_of(tmp_path)
    assert (ended.code, ended.begun) == (3, [1, 2])
    assert states(series) == ["done", "stopped early", "not run"]
    assert metric(told(series), "throughput")["values"][1:] == [None, None]
    assert told(series)["trials"][2]["why"] == "not run: the run was stopped before"
    assert f"chaosbench run --resume {series}" in ended.said
    assert (series / "trial-02" / "summary.json").exists(), "what was measured is kept"
    again = await run(Rig(), tmp_path, planned, resume=SeriesDirectory.reopen(series))
    assert (again.code, again.begun) == (0, [2, 3])
    assert (series / "trial-02-unfinished-1" / "summary.json").exists()


def begun(rig_seed: int, path: Path, text: str = "one\ntwo\n") -> SeriesDirectory:
    path.mkdir()

    class Like:
        seed, scenario_file = rig_seed, text

    return SeriesDirectory.begin(RunDirectory(path), series_record(repeated(), Like(), Path("f.yaml"), None))  # type: ignore[arg-type]


def test_what_differs_from_the_beginning_is_refused_in_one_line(tmp_path: Path):
    series = SeriesDirectory.reopen(begun(7, tmp_path / "s").path)
    series.require_same(Path("f.yaml"), "one\ntwo\n", None)
    series.require_same(Path("f.yaml"), "one\ntwo\n", 7)
    cases = [("one\nthree\n", None, "first at line 2"), ("one\n", None, "line 2"), ("one\ntwo\n", 8, "seed 7, not 8")]
    for text, seed, reason in cases:
        with pytest.raises(UsageError, match=reason) as raised:
            series.require_same(Path("f.yaml"), text, seed)
        assert "\n" not in str(raised.value)


def test_a_directory_without_a_series_is_refused_in_one_line(tmp_path: Path):
    series = begun(7, tmp_path / "s")
    for path, spoil in ((tmp_path, None), (tmp_path / "no", None), (series.path, "{}")):
        if spoil:
            (path / "series.json").write_text(spoil)
        with pytest.raises(UsageError) as raised:
            SeriesDirectory.reopen(path)
        assert "\n" not in str(raised.value)


def test_a_summary_of_another_kind_is_not_taken_for_one(tmp_path: Path):
    series = begun(7, tmp_path / "s")
    directory = series.fresh(1)
    assert series.finished(1) is None
    directory.write(summary())
    assert series.finished(1) == summary()
    (directory.path / "summary.json").write_text("{}")
    with pytest.raises(UsageError, match="move trial-01 away"):
        series.finished(1)


# A broken cluster


async def test_no_trial_is_started_on_a_broken_cluster(tmp_path: Path):
    rig = Rig()
    breaks = {2: lambda: rig.at(5.0, lambda: rig.cluster.silent.add("pg3"))}
    other = replace(repeated(1), name="other")
    ended = await run(rig, tmp_path, repeated(4, recovery=5.0), other, calls=breaks)
    series = series_of(tmp_path)
    assert (ended.code, ended.begun) == (1, [1, 2])
    assert states(series) == ["done", "done", "not run", "not run"]
    trials = told(series)["trials"]
    assert [trial["verdict"] for trial in trials] == ["pass", "fail", "unknown", "unknown"]
    assert trials[3]["why"] == "not run: trial 2 left the cluster broken"
    assert "unknown other  not run: test left the cluster broken" in ended.said
    assert left_by(tmp_path, "*-other") == 0
    assert not (series / "trial-03").exists()
    rig.cluster.silent.clear()
    again = await run(rig, tmp_path, repeated(4, recovery=5.0), resume=SeriesDirectory.reopen(series))
    assert again.begun == [3, 4]
    assert states(series) == ["done"] * 4


async def test_keep_going_goes_on_all_the_same(tmp_path: Path):
    rig = Rig()

    def breaks() -> None:
        rig.at(5.0, lambda: rig.cluster.silent.add("pg3"))
        rig.at(60.0, rig.cluster.silent.clear)  # while the third trial waits for a healthy cluster

    other = replace(repeated(1), name="other")
    ended = await run(rig, tmp_path, repeated(3, recovery=5.0), other, calls={2: breaks}, keep_going=True)
    assert ended.begun == [1, 2, 3]
    assert [trial["verdict"] for trial in told(series_of(tmp_path))["trials"]] == ["pass", "fail", "pass"]
    assert left_by(tmp_path, "*-other/summary.json") == 1


async def test_a_cluster_that_is_never_healthy_ends_the_series_without_figures(tmp_path: Path):
    rig = Rig()
    rig.cluster.silent.add("pg3")
    ended = await run(rig, tmp_path, repeated(2))
    series = series_of(tmp_path)
    assert (ended.code, ended.begun, states(series)) == (3, [1], ["not run", "not run"])
    report = told(series)
    assert report["metrics"] == []
    assert "not healthy after 120 s" in report["trials"][0]["why"]


# The report


def reported(*summaries: Any) -> TrialsReport:
    planned = repeated(len(summaries))
    trials = [
        Ended(
            TrialReport(
                number=number,
                seed=number,
                phase_offset_s=0.0,
                directory=f"trial-{number:02d}",
                state=TrialState.DONE,
                verdict=found.verdict,
                why="",
            ),
            found,
        )
        for number, found in enumerate(summaries, start=1)
    ]

    class Like:
        seed, scenario_file = 1, ""

    return trials_report(series_record(planned, Like(), Path("f.yaml"), None), planned, trials)  # type: ignore[arg-type]


def test_writes_that_never_came_back_are_missing_from_the_figures_and_seen_to_be():
    never = replace(FAULT, rto_s=None, recovered=False)
    report = reported(summary(faults=(FAULT,)), summary(faults=(never,)), summary(faults=(never,)))
    rto = next(one for one in report.metrics if one.metric == "rto" and one.fault is None)
    assert (rto.values, rto.spread.n) == ((20.0, None, None), 1)
    hopeless = reported(summary(faults=(never,)), summary(faults=(never,)))
    assert any(one.metric == "rto" and one.spread.n == 0 for one in hopeless.metrics)
    assert not any(one.metric == "rto" for one in reported(summary(), summary()).metrics), "no fault, no rto"


def test_latencies_of_a_generator_that_was_late_are_not_counted():
    late = summary(generator=replace(summary().generator, suspect=True))
    assert isinstance(late.generator, Generator)
    report = reported(summary(), late)
    values = {one.metric: one.values for one in report.metrics if one.fault is None}
    assert values["p99"] == (20.0, None)
    assert values["error_rate"] == (0.08, 0.08)


def test_every_number_of_a_faults_report_comes_by_itself_whatever_is_added_to_it():
    phases = make_dataclass("P", [("detection_s", float), ("elections", int), ("t0_s", float), ("why", str)])
    instants = [(name, float) for name in ("at_s", "canary_t1_s", "no_write_from_s", "no_write_to_s")]
    report = make_dataclass("R", [("rto_s", float), *instants, ("ok", bool), ("in_", Any)])
    found = _figures(report(20.0, 3.0, 4.0, 5.0, 6.0, True, phases(7.5, 2, 1.0, "no")))
    assert found == {"rto": (20.0, "s"), "detection": (7.5, "s"), "elections": (2.0, "count")}


def test_the_table_leaves_out_what_it_has_said_and_fits_a_terminal():
    console = Console(file=io.StringIO(), width=80)
    rendered.show(reported(*(summary(faults=(replace(FAULT, rto_s=20.0 + n),)) for n in range(7))), console)
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert [line.split()[:4] for line in lines if line.strip().startswith("rto")] == [["rto", "s", "23.00", "21.50"]]
    assert "fault kill-leader" not in console.file.getvalue()
    assert max(map(len, lines)) <= 80
    assert "fewer than" not in console.file.getvalue()


def test_the_published_schema_is_up_to_date():
    assert PUBLISHED.read_text() == trials_schema_text(), "run `make schema`"
    jsonschema.Draft202012Validator.check_schema(trials_schema())
    assert not jsonschema.Draft202012Validator(trials_schema()).is_valid({})


def test_the_verdict_of_a_series_that_was_not_run_is_unknown():
    assert reported(summary(verdict=Verdict.PASS), summary()).verdict is Verdict.UNKNOWN
