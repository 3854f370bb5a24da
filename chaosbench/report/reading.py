"""A results directory, read back: one run, or a series of trials."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from chaosbench.errors import UsageError
from chaosbench.model.report import Summary
from chaosbench.model.trials import SeriesRecord, TrialsReport, TrialState
from chaosbench.results import SUMMARY
from chaosbench.rolling.reading import exists, lines_of
from chaosbench.scenarios.series_files import SERIES, TRIALS
from chaosbench.sinks.events_file import EVENTS
from chaosbench.sinks.interval_log import INTERVALS

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RunResults:
    """One scenario, run once."""

    path: Path
    summary: Summary

    @property
    def intervals(self) -> Path | None:
        """The interval log, which may lie there in parts; None when the run has none (it was moved)."""
        found = self.path / INTERVALS
        return found if exists(found) else None

    def events(self) -> list[dict[str, Any]]:
        """Every event that was kept, in order; the last line may have been cut short and is then left out."""
        found = []
        for line in lines_of(self.path / EVENTS):
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
        return found


@dataclass(frozen=True, slots=True)
class SeriesResults:
    """One scenario, run several times. ``trials`` has those that are done, by number."""

    path: Path
    report: TrialsReport
    scenario_file: str
    trials: dict[int, RunResults]


Results = RunResults | SeriesResults


def read_results(path: Path) -> Results:
    """A run's or a series' directory. UsageError when it is none, or not what this chaosbench writes."""
    where = path.resolve()
    if (where / TRIALS).is_file():
        return _series(where)
    if (where / SUMMARY).is_file():
        return read_run(where)
    if (where / SERIES).is_file():
        raise UsageError(f"{path}: no trial of this series is done yet: go on with chaosbench run --resume {path}")
    raise UsageError(f"{path}: neither {SUMMARY} nor {TRIALS} is there: name a run's directory, such as runs/latest")


def read_run(path: Path) -> RunResults:
    """The directory of one run or one trial."""
    return RunResults(path, _read(path / SUMMARY, Summary))


def _series(path: Path) -> SeriesResults:
    report = _read(path / TRIALS, TrialsReport)
    record = _read(path / SERIES, SeriesRecord)
    done = [trial for trial in report.trials if trial.state is TrialState.DONE]
    trials = {trial.number: read_run(path / trial.directory) for trial in done}
    return SeriesResults(path, report, record.scenario_file, trials)


def _read(path: Path, kind: type[T]) -> T:
    try:
        return TypeAdapter(kind).validate_json(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UsageError(f"{path}: not what this chaosbench writes ({where}: {first['msg']})") from None
