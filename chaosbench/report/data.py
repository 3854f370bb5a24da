"""The report as JSON: what was read, and the numbers behind every figure, for whoever draws their own."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import TypeAdapter

from chaosbench.model.report import Summary
from chaosbench.model.trials import TrialsReport
from chaosbench.report.containers import ContainerTimeline
from chaosbench.report.content import RunContent, SeriesContent
from chaosbench.report.folding import Curve, PhaseBar, Timeline


@dataclass(frozen=True, slots=True)
class RunData:
    """A run; ``summary`` as in ``summary.json``."""

    summary: Summary
    timeline: Timeline
    latency: tuple[Curve, ...]
    phases: tuple[PhaseBar, ...]
    containers: tuple[ContainerTimeline, ...]


@dataclass(frozen=True, slots=True)
class SeriesData:
    """A series; ``trials`` as in ``trials.json``, ``summaries`` by a trial's number."""

    trials: TrialsReport
    summaries: dict[int, Summary]
    phases: tuple[PhaseBar, ...]


def data(content: RunContent | SeriesContent) -> str:
    """A run or a series."""
    if isinstance(content, RunContent):
        found = RunData(content.results.summary, content.timeline, content.curves, content.bars, content.containers)
        return TypeAdapter(RunData).dump_json(found, indent=2).decode() + "\n"
    summaries = {number: trial.summary for number, trial in content.results.trials.items()}
    series = SeriesData(content.results.report, summaries, content.bars)
    return TypeAdapter(SeriesData).dump_json(series, indent=2).decode() + "\n"
