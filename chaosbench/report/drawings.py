"""Which figures a report has. Here matplotlib is imported, and so nowhere before a report is wanted."""

from __future__ import annotations

from chaosbench.report.content import RunContent, SeriesContent
from chaosbench.report.figures.containers import containers_figure
from chaosbench.report.figures.latency import latency_figure
from chaosbench.report.figures.phases import phases_figure, spread_figure
from chaosbench.report.figures.sheet import Drawing
from chaosbench.report.figures.timeline import timeline_figure


def drawings(content: RunContent | SeriesContent) -> dict[str, Drawing]:
    """The figures by their key, in the order of the page; what there is nothing to draw of is left out."""
    found = []
    if isinstance(content, RunContent):
        found.append(timeline_figure(content.timeline))
    if content.bars:
        found.append(phases_figure(content.bars, "fault" if isinstance(content, RunContent) else "trial"))
    if isinstance(content, RunContent):
        if content.curves:
            found.append(latency_figure(content.curves))
        if content.containers:
            found.append(containers_figure(content.containers, content.timeline))
    elif content.spreads:
        found.append(spread_figure(content.spreads))
    return {drawing.key: drawing for drawing in found}
