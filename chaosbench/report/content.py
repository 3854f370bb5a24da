"""What a report says, whatever its form: a run's or a series' figures, folded once."""

from __future__ import annotations

from dataclasses import dataclass

from chaosbench.model.trials import MetricSpread, TrialsReport
from chaosbench.report.containers import ContainerTimeline, read_containers
from chaosbench.report.folding import (
    PHASES,
    TAGS,
    Curve,
    PhaseBar,
    Timeline,
    curves,
    phase_bar,
    timeline,
)
from chaosbench.report.intervals import read_intervals
from chaosbench.report.reading import RunResults, SeriesResults
from chaosbench.sinks.containers_file import CONTAINERS

_IN_SECONDS = ("rto", "write_gap", *PHASES, "redundancy", "degraded_tail")


@dataclass(frozen=True, slots=True)
class RunContent:
    """One run: what was read, and what its figures show."""

    results: RunResults
    timeline: Timeline
    curves: tuple[Curve, ...]
    bars: tuple[PhaseBar, ...]
    containers: tuple[ContainerTimeline, ...]


@dataclass(frozen=True, slots=True)
class SeriesContent:
    """A series: its trials' outages side by side, and their spread."""

    results: SeriesResults
    bars: tuple[PhaseBar, ...]
    spreads: tuple[MetricSpread, ...]


def run_content(results: RunResults) -> RunContent:
    """Fold a run. UsageError when its interval log cannot be read."""
    summary = results.summary
    intervals = read_intervals(results.intervals, summary.duration_s, TAGS) if results.intervals else None
    return RunContent(
        results=results,
        timeline=timeline(summary, intervals, results.events()),
        curves=curves(intervals),
        bars=tuple(phase_bar(fault, fault.name) for fault in summary.faults),
        containers=read_containers(results.path / CONTAINERS, summary.duration_s),
    )


def series_content(results: SeriesResults) -> SeriesContent:
    """Fold a series."""
    bars = []
    for number, trial in results.trials.items():
        for fault in trial.summary.faults:
            several = len(trial.summary.faults) > 1
            bars.append(phase_bar(fault, f"trial {number}" + (f", {fault.name}" if several else "")))
    return SeriesContent(results, tuple(bars), tuple(_spreads(results.report)))


def _spreads(report: TrialsReport) -> list[MetricSpread]:
    plain = {one.metric: one for one in report.metrics if one.fault is None and one.spread.n}
    return [plain[name] for name in _IN_SECONDS if name in plain]
