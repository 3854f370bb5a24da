"""A series' figures: each metric and each figure of each fault, over the trials. Nothing is measured here."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from chaosbench.expectations import METRICS, Metric
from chaosbench.model.report import FaultReport, Summary, Verdict, worst
from chaosbench.model.trials import MetricSpread, SeriesRecord, TrialReport, TrialsReport, TrialState
from chaosbench.scenarios.scenario import Scenario
from chaosbench.statistics_spread import spread

_INSTANT = re.compile(r"(^|_)(at|t\d|from|to)_s$")
"""Stamps that count from the start of the measurement: the phase offset moves them, so their spread means nothing."""
_UNITS = {"_per_s": "/s", "_ms": "ms", "_s": "s", "_share": "share"}


@dataclass(frozen=True, slots=True)
class Ended:
    """A trial as it stands. ``summary`` is None unless it was run."""

    report: TrialReport
    summary: Summary | None = None

    @property
    def counted(self) -> Summary | None:
        """The summary, if its figures are to be counted."""
        return self.summary if self.report.state is TrialState.DONE else None


def trials_report(record: SeriesRecord, scenario: Scenario, trials: Sequence[Ended]) -> TrialsReport:
    """The series as it stands, whether or not every trial is done."""
    reports = tuple(trial.report for trial in trials)
    bad = [trial for trial in reports if trial.verdict is not Verdict.PASS]
    return TrialsReport(
        chaosbench=record.chaosbench,
        scenario=record.scenario,
        description=scenario.description,
        seed=record.seed,
        started_at=record.started_at,
        loop_wait_s=scenario.loop_wait,
        verdict=worst(tuple(trial.verdict for trial in reports)),
        why=_why(bad, len(reports)),
        trials=reports,
        metrics=tuple(_metrics(tuple(trial.counted for trial in trials), record.seed)),
    )


def _why(bad: list[TrialReport], of: int) -> str:
    if not bad:
        return ""
    first = next((trial for trial in bad if trial.verdict is Verdict.FAIL), bad[0])
    return f"{len(bad)} of {of} trials did not pass, as trial {first.number}: {first.why}"


def _metrics(summaries: tuple[Summary | None, ...], seed: int) -> Iterator[MetricSpread]:
    """The metrics of expectations that some trial has, then each fault's figures."""

    def over(name: str, unit: str, meaning: str, values: Sequence[float | None], fault: str | None) -> MetricSpread:
        known = [value for value in values if value is not None]
        found = spread(known, f"{seed}/bootstrap/{fault or ''}/{name}")
        return MetricSpread(metric=name, fault=fault, unit=unit, meaning=meaning, values=tuple(values), spread=found)

    for name, metric in METRICS.items():
        values = [_read(metric, summary) for summary in summaries]
        if any(value is not None for value in values) or any(_never(metric, summary) for summary in summaries):
            yield over(name, metric.unit, metric.meaning, values, None)
    for fault in _names(summaries):
        each = [_figures(_fault(summary, fault)) for summary in summaries]
        for name in dict.fromkeys(name for figures in each for name in figures):
            unit = next(figures[name][1] for figures in each if name in figures)
            yield over(name, unit, "", [figures.get(name, (None,))[0] for figures in each], fault)


def _read(metric: Metric, summary: Summary | None) -> float | None:
    if summary is None or (metric.needs_timing and summary.generator.suspect):
        return None
    return metric.read(summary).value


def _never(metric: Metric, summary: Summary | None) -> bool:
    """Whether the figure is missing because what it measures did not end: worth showing even if no trial has one."""
    return summary is not None and metric.read(summary).failed


def _names(summaries: tuple[Summary | None, ...]) -> list[str]:
    return list(dict.fromkeys(fault.name for summary in summaries if summary for fault in summary.faults))


def _fault(summary: Summary | None, name: str) -> FaultReport | None:
    return next((fault for fault in summary.faults if fault.name == name), None) if summary else None


def _figures(report: object) -> Mapping[str, tuple[float, str]]:
    """Every number of a fault's report with its unit, by its field's name without the unit; reports inside it included.

    Of two numbers with one name it is the outer that counts. Instants are left out.
    """
    found: dict[str, tuple[float, str]] = {}
    inner: list[Any] = []
    for field in fields(report) if is_dataclass(report) else ():
        value = getattr(report, field.name)
        if is_dataclass(value):
            inner.append(value)
        elif isinstance(value, int | float) and not isinstance(value, bool) and not _INSTANT.search(field.name):
            ending = next((ending for ending in _UNITS if field.name.endswith(ending)), "")
            found[field.name.removesuffix(ending)] = (float(value), _UNITS.get(ending, "count"))
    for value in inner:
        found = {**_figures(value), **found}
    return found
