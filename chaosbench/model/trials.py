"""A series: one scenario repeated. What ``series.json`` and ``trials.json`` hold.

The JSON Schema of ``trials.json`` is made from these classes. ``null`` means that there is no such value, never zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from chaosbench.model.report import Verdict

TRIALS_SCHEMA_VERSION = 1


class TrialState(StrEnum):
    """What became of a trial; only one that is done is in the figures."""

    DONE = "done"
    STOPPED = "stopped early"
    NOT_RUN = "not run"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesRecord:
    """What a series began with; it can go on only with the same.

    file:           the scenario file's absolute path when the series began
    numbers:        the trials that belong to it, from 1
    scenario_file:  the file's text
    """

    schema_version: int = TRIALS_SCHEMA_VERSION
    chaosbench: str
    file: str
    scenario: str
    seed: int
    numbers: tuple[int, ...]
    started_at: str
    scenario_file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """How values are spread. ``low`` to ``high``: bootstrap 95 % interval of the median, null below two values."""

    n: int
    median: float | None
    q1: float | None
    q3: float | None
    min: float | None
    max: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricSpread:
    """One figure over the trials.

    metric:  a metric of expectations; or, where ``fault`` is given, a figure of that fault's report
    values:  one a trial, in the order of ``trials``; null where that trial has none. They are in no other figure
    """

    metric: str
    fault: str | None
    unit: str
    meaning: str
    values: tuple[float | None, ...]
    spread: Spread


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialReport:
    """One trial.

    seed:            what its summary names; derived from the series' seed and ``number``
    phase_offset_s:  how much later than planned its faults came
    directory:       where its results are, beside ``trials.json``
    """

    number: int
    seed: int
    phase_offset_s: float
    directory: str
    state: TrialState
    verdict: Verdict
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialsReport:
    """A whole series. The verdict is the worst of its trials; one that was not run is unknown."""

    schema_version: int = TRIALS_SCHEMA_VERSION
    chaosbench: str
    scenario: str
    description: str
    seed: int
    started_at: str
    loop_wait_s: float
    verdict: Verdict
    why: str
    trials: tuple[TrialReport, ...]
    metrics: tuple[MetricSpread, ...]

    @property
    def complete(self) -> bool:
        """Whether every trial is done."""
        return all(trial.state is TrialState.DONE for trial in self.trials)
