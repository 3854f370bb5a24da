"""A series: the trials of one scenario in turn.

A trial that has its summary already is not run again. After each one
``trials.json`` is written, so that an end by whatever means costs one trial.
No trial is started on a cluster that the last one left broken, unless asked.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import chaosbench
from chaosbench.clock import iso
from chaosbench.events import Kind
from chaosbench.model.report import Summary, Verdict
from chaosbench.model.trials import SeriesRecord, TrialReport, TrialsReport, TrialState
from chaosbench.results import RunDirectory
from chaosbench.scenarios.run import Bench
from chaosbench.scenarios.scenario import Scenario
from chaosbench.scenarios.series_files import SeriesDirectory
from chaosbench.scenarios.trials import Trial, trial_of
from chaosbench.scenarios.trials_report import Ended, trials_report


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What one scenario, or one trial of it, came to.

    summary:  None when it could not be run, or not to its end
    broken:   the cluster is in no state to begin the next one
    """

    verdict: Verdict
    why: str = ""
    summary: Summary | None = None
    broken: bool = False

    @classmethod
    def of(cls, summary: Summary) -> Turn:
        """That of a scenario that has its summary."""
        return cls(verdict=summary.verdict, why=summary.why, summary=summary, broken=not summary.cluster_whole_again)


Perform = Callable[[Trial, RunDirectory], Awaitable[Turn]]
"""Runs one trial in its directory, watched and shown; what it could not do is in the turn."""


def series_record(scenario: Scenario, bench: Bench, file: Path, only: int | None) -> SeriesRecord:
    """What a new series begins with: all trials, or the only one that is asked for."""
    return SeriesRecord(
        chaosbench=chaosbench.__version__,
        file=str(file.resolve()),
        scenario=scenario.name,
        seed=bench.seed,
        numbers=tuple(range(1, scenario.trials + 1)) if only is None else (only,),
        started_at=iso(datetime.now(UTC)),
        scenario_file=bench.scenario_file,
    )


async def run_series(
    scenario: Scenario, bench: Bench, series: SeriesDirectory, perform: Perform, *, keep_going: bool
) -> tuple[TrialsReport, bool]:
    """Run the trials that are not done; returns the series as it then stands, and whether the cluster is broken.

    Raises what ``perform`` raises, UsageError when a trial that is done cannot
    be read, and PreflightError when there is no room for the next.
    """
    record = series.record
    trials = {number: trial_of(scenario, record.seed, number) for number in record.numbers}
    ended = {number: _ended(trial, series, _earlier(series, number)) for number, trial in trials.items()}
    left = [number for number in record.numbers if ended[number].summary is None]
    broken, blocked = False, ""
    for number in left:
        if bench.stop.is_set():
            blocked = "the run was stopped before"
        if blocked:
            ended[number] = _ended(trials[number], series, Turn(verdict=Verdict.UNKNOWN, why=f"not run: {blocked}"))
            continue
        turn = await perform(trials[number], series.fresh(number))
        ended[number] = _ended(trials[number], series, turn)
        broken = turn.broken
        blocked = "" if keep_going or not broken else f"trial {number} left the cluster broken"
        _keep(series, trials_report(record, scenario, tuple(ended.values())), bench)
    report = trials_report(record, scenario, tuple(ended.values()))
    _keep(series, report, bench)
    return report, broken


def _earlier(series: SeriesDirectory, number: int) -> Turn:
    summary = series.finished(number)
    return Turn.of(summary) if summary else Turn(verdict=Verdict.UNKNOWN, why="not run yet")


def _ended(trial: Trial, series: SeriesDirectory, turn: Turn) -> Ended:
    state = TrialState.NOT_RUN
    if turn.summary is not None:
        state = TrialState.STOPPED if turn.summary.stopped_early else TrialState.DONE
    report = TrialReport(
        number=trial.number,
        seed=trial.seed,
        phase_offset_s=trial.phase_offset_s,
        directory=series.trial(trial.number).name,
        state=state,
        verdict=turn.verdict,
        why=turn.why,
    )
    return Ended(report, turn.summary)


def _keep(series: SeriesDirectory, report: TrialsReport, bench: Bench) -> None:
    """Write ``trials.json``; a full disk costs the file, not the series."""
    try:
        series.write(report)
    except OSError as error:
        text = f"trials.json could not be written to {series.path}: {error.strerror}"
        bench.hub.say(Kind.WARNING, text=text)
