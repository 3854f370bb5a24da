"""What a person asked to be run: scenarios of a file, one trial of them, or the rest of a series."""

from __future__ import annotations

from pathlib import Path

from chaosbench.errors import UsageError
from chaosbench.scenarios.loader import ScenarioFile, load
from chaosbench.scenarios.scenario import Scenario
from chaosbench.scenarios.series_files import SeriesDirectory, newest_unfinished

Asked = tuple[ScenarioFile, tuple[Scenario, ...], SeriesDirectory | None]
AUTO = Path("auto")
"""In the place of a directory: the newest unfinished series or soak of the file, or a new run."""


def asked(
    file: Path | None, only: tuple[str, ...], trial: int | None, resume: Path | None, seed: int | None, out: Path
) -> Asked:
    """The file, the scenarios to run, and the series to go on with. Raises UsageError when they do not fit.

    out:  where ``auto`` looks
    """
    if resume == AUTO:
        if file is None:
            raise UsageError("--resume auto looks for the newest unfinished run of a file: name the scenario file")
        resume = newest_unfinished(out, load(file))
    if resume is not None:
        return _resumed(file, only, trial, resume, seed)
    if file is None:
        raise UsageError("name a scenario file, such as scenarios.yaml (or --resume DIR to go on with a series)")
    found = load(file)
    scenarios = found.only(only)
    for scenario in scenarios:
        if trial is not None and not (scenario.trials > 1 and 1 <= trial <= scenario.trials):
            has = f"trials 1 to {scenario.trials}" if scenario.trials > 1 else "no trials"
            raise UsageError(f"{file}: there is no trial {trial} of {scenario.name!r}: it has {has}; see --only")
    return found, scenarios, None


def _resumed(file: Path | None, only: tuple[str, ...], trial: int | None, resume: Path, seed: int | None) -> Asked:
    if only or trial is not None:
        raise UsageError("--resume goes on with what a series or a soak began with: leave --only and --trial out")
    series = SeriesDirectory.reopen(resume)
    source = file or Path(series.record.file)
    found = load(source)
    series.require_same(source, found.text, seed)
    scenarios = found.only((series.record.scenario,))
    if scenarios[0].soak and series.complete(scenarios[0]):
        raise UsageError(f"the soak in {series.path} is complete: begin a new one without --resume")
    return found, scenarios, series
