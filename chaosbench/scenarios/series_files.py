"""A series' directory: ``series.json`` (what it began with), ``trials.json``, and ``trial-01/`` and so on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from chaosbench.clock import NS
from chaosbench.errors import UsageError
from chaosbench.model.report import Summary
from chaosbench.model.trials import SeriesRecord, TrialsReport
from chaosbench.results import SUMMARY, RunDirectory, unusable, write_whole
from chaosbench.scenarios.loader import ScenarioFile
from chaosbench.scenarios.scenario import Scenario
from chaosbench.scenarios.soak_state import read_state

SERIES = "series.json"
TRIALS = "trials.json"


@dataclass(frozen=True, slots=True)
class SeriesDirectory:
    """Where a series' results go."""

    path: Path
    record: SeriesRecord

    @classmethod
    def begin(cls, directory: RunDirectory, record: SeriesRecord) -> SeriesDirectory:
        """Make a directory that of a series. PreflightError when it cannot be written."""
        path = directory.path / SERIES
        try:
            write_whole(path, TypeAdapter(SeriesRecord).dump_json(record, indent=2))
        except OSError as error:
            raise unusable(path, error) from None
        return cls(directory.path, record)

    @classmethod
    def reopen(cls, path: Path) -> SeriesDirectory:
        """The series that was begun in a directory. UsageError when there is none."""
        try:
            found = TypeAdapter(SeriesRecord).validate_json((path / SERIES).read_bytes())
        except FileNotFoundError:
            raise UsageError(
                f"{path}: nothing to resume: only a scenario with 'trials', or a soak, leaves a {SERIES}"
            ) from None
        except OSError as error:
            raise UsageError(f"{path / SERIES}: cannot be read: {error.strerror}") from None
        except ValidationError:
            raise UsageError(f"{path / SERIES}: not what this chaosbench writes; begin a new series") from None
        return cls(path.resolve(), found)

    def require_same(self, file: Path, text: str, seed: int | None) -> None:
        """UsageError when the file's text, or the seed if one was asked for, is not what the series began with."""
        line = _first_difference(self.record.scenario_file, text)
        if line is not None:
            raise UsageError(
                f"{file} is not what the series in {self.path} began with (first at line {line}): "
                "its trials would not be comparable; begin a new series"
            )
        if seed is not None and seed != self.record.seed:
            raise UsageError(
                f"the series in {self.path} began with seed {self.record.seed}, not {seed}: leave --seed out"
            )

    def trial(self, number: int) -> Path:
        """Where a trial's results go."""
        return self.path / f"trial-{number:02d}"

    def finished(self, number: int) -> Summary | None:
        """A trial's summary; None when it has none, or was stopped early. UsageError when it cannot be read."""
        path = self.trial(number) / SUMMARY
        try:
            summary = TypeAdapter(Summary).validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
        except ValidationError:
            raise UsageError(
                f"{path}: not what this chaosbench writes; move {path.parent.name} away to run it again"
            ) from None
        return None if summary.stopped_early else summary

    def fresh(self, number: int) -> RunDirectory:
        """An empty directory for a trial. What an earlier try left is kept beside it. PreflightError if impossible."""
        path = self.trial(number)
        try:
            if path.exists():
                tries = len(list(self.path.glob(f"{path.name}-unfinished-*")))
                path.rename(self.path / f"{path.name}-unfinished-{tries + 1}")
            path.mkdir()
        except OSError as error:
            raise unusable(path, error) from None
        return RunDirectory(path)

    def complete(self, scenario: Scenario) -> bool:
        """Whether there is nothing left to do; a soak that lasts until it is stopped is never done."""
        if scenario.soak:
            state = read_state(self.path)
            measured_s = state.elapsed_ns / NS if state is not None and state.ended else 0.0
            return measured_s >= scenario.duration
        return all(self.finished(number) is not None for number in self.record.numbers)

    def write(self, report: TrialsReport) -> Path:
        """Write ``trials.json``, whole or not at all. Raises OSError."""
        return write_whole(self.path / TRIALS, TypeAdapter(TrialsReport).dump_json(report, indent=2))


def newest_unfinished(out: Path, file: ScenarioFile) -> Path | None:
    """The newest series or soak below ``out`` that began with this file as it is and is not complete; None without."""
    scenarios = {scenario.name: scenario for scenario in file.scenarios}
    for path in sorted(
        (record.parent for record in out.glob(f"*/{SERIES}") if not record.parent.is_symlink()), reverse=True
    ):
        try:
            found = SeriesDirectory.reopen(path)
            scenario = scenarios.get(found.record.scenario)
            same = found.record.file == str(file.path.resolve()) and found.record.scenario_file == file.text
            if scenario is not None and same and not found.complete(scenario):
                return path
        except UsageError:
            continue  # one that cannot be read cannot be gone on with
    return None


def _first_difference(before: str, after: str) -> int | None:
    """The first line (from 1) in which two texts differ."""
    if before == after:
        return None
    pairs = zip_longest(before.splitlines(keepends=True), after.splitlines(keepends=True))
    return next(number for number, (one, other) in enumerate(pairs, start=1) if one != other)


def trials_schema() -> dict[str, Any]:
    """The JSON Schema of ``trials.json``."""
    schema = TypeAdapter(TrialsReport).json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "chaosbench trials", **schema}


def trials_schema_text() -> str:
    """The schema as it is published in ``docs/trials.schema.json``."""
    return json.dumps(trials_schema(), indent=2) + "\n"
