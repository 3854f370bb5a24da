"""The comparison as a page, in the report's looks."""

from __future__ import annotations

from collections.abc import Sequence

from chaosbench.compare import wording
from chaosbench.compare.results import Comparison, Sample
from chaosbench.compare.settings import Difference
from chaosbench.expectations import METRICS
from chaosbench.report.figures.outages import outages_figure
from chaosbench.report.folding import PHASES
from chaosbench.report.page import figure, render

_SHOWN = ("rto", "write_gap", *PHASES, "redundancy")


def page(
    samples: Sequence[Sample], settings: Sequence[Difference], found: Sequence[Comparison], tolerance: float
) -> str:
    """The whole page."""
    values = {name: [one.values(METRICS[name]) for one in samples] for name in _SHOWN}
    used = {name: found for name, found in values.items() if any(found)}
    outages = figure(outages_figure([one.name for one in samples], used)) if used else ""
    return render(
        "compare.html.j2",
        samples=samples,
        settings=settings,
        found=found,
        tolerance=tolerance,
        words=wording,
        outages=outages,
    )
