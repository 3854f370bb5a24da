"""The scenarios of a run in turn, each in its own directory, watched, shown and kept; then one exit code."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from chaosbench.errors import ClusterUnavailable, UndeterminedError
from chaosbench.events import Kind
from chaosbench.model.report import Summary, Verdict, worst
from chaosbench.model.trials import TrialState
from chaosbench.render import terminal, trials
from chaosbench.results import RunDirectory
from chaosbench.rolling import KEEP_ALL, Keep, Rolled
from chaosbench.rolling.reserve import reserved
from chaosbench.scenarios.measured import tell_measured
from chaosbench.scenarios.run import Bench, run_scenario
from chaosbench.scenarios.scenario import Scenario
from chaosbench.scenarios.series import Turn, run_series, series_record
from chaosbench.scenarios.series_files import SeriesDirectory
from chaosbench.scenarios.trials import Trial
from chaosbench.sinks import Sink
from chaosbench.sinks.container_spans import ContainerSpans
from chaosbench.sinks.hub import Hub
from chaosbench.sinks.notices import Notices
from chaosbench.sinks.table import Setting, sinks_of

EXIT_CODES = {Verdict.PASS: 0, Verdict.FAIL: 1, Verdict.UNKNOWN: 3}


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What the scenarios of one run share.

    keep_going:  go on after a scenario or trial that left the cluster broken
    trial:       of each scenario only this trial
    resume:      the series, or the soak, to go on with; then its scenario is the only one
    keep:        how long closed parts of result files are kept
    report:      makes a report of a directory, away from this loop, and says in a line what came of it
    """

    bench: Bench
    file: Path
    scenarios: tuple[Scenario, ...]
    out: Path
    console: Console
    keep_going: bool = False
    trial: int | None = None
    resume: SeriesDirectory | None = None
    keep: Keep = KEEP_ALL
    report: Callable[[Path], Awaitable[str]] | None = None


async def scenarios_in_turn(run: Run) -> int:
    """Run every scenario, with its trials; returns the exit code.

    After one that left the cluster broken none is begun, unless asked: the rest is unknown.
    """
    bench = run.bench
    names = [scenario.name for scenario in run.scenarios]
    run.console.print(f"chaosbench run {run.file}: {', '.join(names)} (seed {bench.seed})", soft_wrap=True)
    bench.hub.say(Kind.RUN_STARTED, run=_name(bench), file=str(run.file), scenarios=names, seed=bench.seed)
    lines: list[tuple[Verdict, str]] = []
    blocked = ""
    for scenario in run.scenarios:
        if bench.stop.is_set():
            blocked = blocked or "the run was stopped before"
        if blocked:
            lines.append((Verdict.UNKNOWN, f"{scenario.name}  not run: {blocked}"))
            continue
        turn = await _one(scenario, run)
        lines.append((turn.verdict, scenario.name))
        if turn.broken and not run.keep_going:
            blocked = f"{scenario.name} left the cluster broken (--keep-going goes on all the same)"
    verdict = worst(tuple(each for each, _ in lines))
    bench.hub.say(Kind.RUN_FINISHED, verdict=verdict.value, exit_code=EXIT_CODES[verdict])
    for each, text in lines:
        run.console.print(f"{each.value:<8}{text}", soft_wrap=True)
    return EXIT_CODES[verdict]


def _name(bench: Bench) -> str:
    """A run is called by when it began."""
    return bench.anchor.date(bench.clock.now()).strftime("%Y-%m-%dT%H:%M:%SZ")


async def _one(scenario: Scenario, run: Run) -> Turn:
    """One scenario in its own directory, or its trials below it. A soak may be gone on with, like a series."""
    if scenario.trials > 1:
        return await _series(scenario, run, run.resume or _new_series(scenario, run))
    if scenario.soak:
        series = run.resume or _new_series(scenario, run)
        directory = RunDirectory(series.path)
    else:
        directory = _directory(scenario, run)
    turn = await _perform(scenario, run.bench, directory, run)
    if turn.summary is not None:
        await _report(directory.path, run)
    if scenario.soak and (turn.summary is None or turn.summary.stopped_early or scenario.endless):
        run.console.print(f"  to go on: chaosbench run --resume {directory.path}", soft_wrap=True)
    return turn


async def _report(path: Path, run: Run) -> None:
    """No load runs now: the last scenario's has ended, and the next one's has not begun."""
    if run.report is not None:
        run.console.print(f"  {await run.report(path)}", soft_wrap=True)


def _directory(scenario: Scenario, run: Run) -> RunDirectory:
    bench = run.bench
    return RunDirectory.make(run.out, bench.anchor.date(bench.clock.now()), scenario.name)


def _new_series(scenario: Scenario, run: Run) -> SeriesDirectory:
    record = series_record(scenario, run.bench, run.file, run.trial)
    return SeriesDirectory.begin(_directory(scenario, run), record)


async def _series(scenario: Scenario, run: Run, series: SeriesDirectory) -> Turn:
    """The trials that are not done yet; then the whole series is shown."""

    async def perform(trial: Trial, directory: RunDirectory) -> Turn:
        return await _perform(trial.scenario, replace(run.bench, seed=trial.seed), directory, run, trial)

    report, broken = await run_series(scenario, run.bench, series, perform, keep_going=run.keep_going)
    trials.show(report, run.console)
    run.console.print(f"  results in {series.path}", soft_wrap=True)
    if any(trial.state is TrialState.DONE for trial in report.trials):
        await _report(series.path, run)
    if not report.complete:
        run.console.print(f"  to go on: chaosbench run --resume {series.path}", soft_wrap=True)
    return Turn(verdict=report.verdict, broken=broken)


async def _perform(
    scenario: Scenario, bench: Bench, directory: RunDirectory, run: Run, trial: Trial | None = None
) -> Turn:
    """Run, watch, show and keep. What could not be run does not keep the next from being tried."""
    setting = Setting(
        clock=bench.clock,
        anchor=bench.anchor,
        stream=sys.stdout,
        directory=directory.path,
        samples=bench.samples,
        containers=bench.containers,
        rolled=Rolled(keep=run.keep, date=lambda at_ns: bench.anchor.date(at_ns).timestamp()),
        say=bench.hub.say,
    )
    bench = replace(bench, directory=directory.path)
    kept, spans, notices = "", ContainerSpans(bench.containers), Notices()
    with reserved(directory.path) as reserve, _watched_by(bench.hub, [spans, notices, *sinks_of(setting)]):
        if trial is not None:
            bench.hub.say(
                Kind.TRIAL_STARTED,
                scenario=scenario.name,
                trial=trial.number,
                trials=trial.of,
                seed=trial.seed,
                phase_offset_s=trial.phase_offset_s,
            )
        try:
            summary = await run_scenario(scenario, bench)
            warnings = (*summary.warnings, *notices.warnings())
            summary = replace(summary, containers=spans.reports(), warnings=warnings)
            reserve.give()
            turn = Turn.of(summary)
            kept = _kept(summary, directory)  # before it is told that the scenario is finished: a sink may read it
            tell_measured(summary, bench.hub)
        except UndeterminedError as error:
            bench.hub.say(Kind.WARNING, text=str(error))
            broken = isinstance(error, ClusterUnavailable)
            turn = Turn(verdict=Verdict.UNKNOWN, why=str(error), broken=broken)
        bench.hub.say(
            Kind.SCENARIO_FINISHED, scenario=scenario.name, verdict=turn.verdict.value, directory=str(directory.path)
        )
    if turn.summary is not None:
        terminal.show(turn.summary, run.console)
        run.console.print(f"  {kept}", soft_wrap=True)
    return turn


def _kept(summary: Summary, directory: RunDirectory) -> str:
    """Write the summary and say where; a full disk costs the file, not the verdict."""
    try:
        return f"results in {directory.write(summary).parent}"
    except OSError as error:
        return f"summary.json could not be written to {directory.path}: {error.strerror}"


@contextmanager
def _watched_by(hub: Hub, sinks: list[Sink]) -> Iterator[None]:
    """These sinks watch for the length of the block."""
    for sink in sinks:
        hub.add(sink)
    try:
        yield
    finally:
        for sink in sinks:
            hub.remove(sink)
