"""Latency by percentile, the HdrHistogram way: the axis stretches the rare, each nine as wide as the last."""

from __future__ import annotations

import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from chaosbench.report.figures.sheet import Drawing, Ink
from chaosbench.report.figures.timeline import milliseconds
from chaosbench.report.folding import Curve

_DASHES = {"response, acknowledged": "-", "response, every outcome": (0, (5, 2)), "service, acknowledged": ":"}


def latency_figure(curves: tuple[Curve, ...]) -> Drawing:
    """The same curves twice: linear to see how long it was, logarithmic to see all of it."""

    def draw(figure: Figure, ink: Ink, narrow: bool) -> None:
        axes = figure.subplots(2, 1) if narrow else figure.subplots(1, 2)
        nines = max((math.log10(curve.count) for curve in curves), default=1.0)
        for each, scale in zip(axes, ("linear", "log"), strict=True):
            for curve in curves:
                _curve(each, curve, ink)
            each.set_yscale(scale)
            each.set_title(f"response time by percentile, {scale}")
            each.yaxis.set_major_formatter(FuncFormatter(milliseconds))
            _percent_axis(each, nines)
        axes[0].set_ylim(bottom=0)
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=1 if narrow else 3)

    return Drawing("latency", "Latency by percentile", _told(curves), draw, (3.6, 6.4))


def _told(curves: tuple[Curve, ...]) -> str:
    parts = []
    for curve in curves:
        chosen = [(percent, ms) for percent, ms in zip(curve.percents, curve.ms, strict=True) if percent >= 50]
        wanted = {percent: min(chosen, key=lambda one: abs(one[0] - percent), default=None) for percent in (50, 99)}
        said = ", ".join(f"{percent} % {one[1]:.1f} ms" for percent, one in wanted.items() if one is not None)
        parts.append(f"{curve.name}, {curve.count:,} operations: {said}")
    return "; ".join(parts) + "."


def _curve(axes: Axes, curve: Curve, ink: Ink) -> None:
    op_class, kind = curve.name.split(": ")
    nines = [-math.log10(1 - percent / 100) for percent in curve.percents]
    axes.plot(
        nines,
        [max(ms, 0.001) for ms in curve.ms],
        color=getattr(ink, op_class),
        ls=_DASHES[kind],
        lw=1.5,
        drawstyle="steps-post",
        label=curve.name,
    )


def _percent_axis(axes: Axes, nines: float) -> None:
    """0, 50, 90, 99, 99.9 ... as far as there are operations to tell by."""
    places = [0.0, math.log10(2), *range(1, int(nines) + 1)]
    axes.xaxis.set_major_locator(FixedLocator(places))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(places, [f"{100 * (1 - 10**-place):.{max(0, math.ceil(place) - 2)}f}%" for place in places])
    axes.set_xlim(0, max(nines, 1))
    axes.set_xlabel("percentile")
