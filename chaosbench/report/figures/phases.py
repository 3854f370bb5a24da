"""What an outage consists of: its phases as a row of pieces, and over trials as boxes with every trial's point."""

from __future__ import annotations

import random

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from chaosbench.model.trials import MetricSpread
from chaosbench.report.figures.sheet import HATCHES, Drawing, Ink
from chaosbench.report.folding import PHASES, PhaseBar


def phases_figure(bars: tuple[PhaseBar, ...], of: str) -> Drawing:
    """A row for each fault or trial; its pieces add up to the RTO."""

    def draw(figure: Figure, ink: Ink, narrow: bool) -> None:
        axes = figure.subplots()
        longest = max((bar.rto_s or 0.0 for bar in bars), default=0.0) or 1.0
        for row, bar in enumerate(bars):
            _bar(axes, row, bar, ink, longest)
        axes.set_yticks(range(len(bars)), [bar.label for bar in bars])
        axes.set_ylim(len(bars) - 0.4, -0.6)
        axes.set_xlim(0, longest * (1.6 if narrow else 1.28))
        axes.tick_params(axis="y", length=0)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("seconds since T0, when the fault was injected")
        used = dict.fromkeys(name for bar in bars for name, _ in bar.pieces)
        order = [name for name in (*PHASES, "not taken apart") if name in used]
        keys = [
            Patch(facecolor=ink.phases[name], hatch=HATCHES[name], edgecolor=ink.paper, label=name) for name in order
        ]
        if keys:
            figure.legend(handles=keys, loc="outside lower center", ncols=3 if narrow else 6)

    height = 0.42 * len(bars)
    return Drawing("phases", f"RTO by phase, for each {of}", _told(bars), draw, (1.25 + height, 1.6 + height))


def _bar(axes: Axes, row: int, bar: PhaseBar, ink: Ink, longest: float) -> None:
    left = 0.0
    for name, seconds in bar.pieces:
        axes.barh(
            row, seconds, 0.62, left, color=ink.phases[name], hatch=HATCHES[name], edgecolor=ink.paper, linewidth=0.6
        )
        left += seconds
    said = bar.note if not bar.rto_s else f"{bar.rto_s:.2f} s"
    axes.text(left + longest * 0.012, row, said, ha="left", va="center", fontweight="bold")


def _told(bars: tuple[PhaseBar, ...]) -> str:
    rows = []
    for bar in bars:
        pieces = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in bar.pieces)
        rows.append(f"{bar.label}: {'RTO ' + format(bar.rto_s, '.2f') + ' s' if bar.rto_s is not None else bar.note}")
        rows[-1] += f" ({pieces})" if pieces else ""
    return "; ".join(rows) + "."


def spread_figure(metrics: tuple[MetricSpread, ...]) -> Drawing:
    """A box for each figure in seconds: quartiles, median, whiskers to the ends; and every trial as a point."""

    def draw(figure: Figure, ink: Ink, narrow: bool) -> None:
        axes = figure.subplots()
        scatter = random.Random(1)  # noqa: S311 - only so that points do not cover each other
        for row, metric in enumerate(metrics):
            known = [value for value in metric.values if value is not None]
            colour = ink.phases.get(metric.metric, ink.text)
            axes.boxplot(
                known,
                positions=[row],
                orientation="horizontal",
                widths=0.5,
                whis=(0, 100),
                showfliers=False,
                medianprops={"color": ink.bad, "linewidth": 1.8},
                boxprops={"color": ink.faint},
                whiskerprops={"color": ink.faint},
                capprops={"color": ink.faint},
            )
            places = [row + scatter.uniform(-0.13, 0.13) for _ in known]
            axes.scatter(known, places, s=17, color=colour, edgecolor=ink.text, linewidth=0.5, zorder=3)
        axes.set_yticks(range(len(metrics)), [metric.metric.replace("_", " ") for metric in metrics])
        axes.set_ylim(len(metrics) - 0.4, -0.6)
        axes.set_xlim(left=0)
        axes.tick_params(axis="y", length=0)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("seconds; line: median, box: quartiles, whiskers: all, points: trials")
        if narrow:
            axes.set_xlabel("seconds")

    height = 0.4 * len(metrics)
    return Drawing("spread", "Spread over the trials", _spread_told(metrics), draw, (0.9 + height, 0.9 + height))


def _spread_told(metrics: tuple[MetricSpread, ...]) -> str:
    rows = [
        f"{one.metric}: median {one.spread.median:.2f} s, from {one.spread.min:.2f} to {one.spread.max:.2f} s"
        for one in metrics
        if one.spread.median is not None
    ]
    return "; ".join(rows) + "."
