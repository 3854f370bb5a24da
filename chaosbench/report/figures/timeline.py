"""The timeline: what was done to the cluster, who led, what clients had of it; one axis of time for all."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from chaosbench.report.figures.sheet import Drawing, Ink, above
from chaosbench.report.folding import Band, ClassTimeline, Timeline

_DASHES = {"read": "-", "write": (0, (4, 1.5))}
_MOST_STEPS = 2
"""Of more faults than these the steps are not named in the figure: they would lie on each other."""


def timeline_figure(found: Timeline) -> Drawing:
    """Lanes of faults, leaders and error windows; below them throughput, failures, response times."""

    def draw(figure: Figure, ink: Ink, narrow: bool) -> None:
        lanes = _lanes(found)
        ratios = [0.27 * len(lanes) + 0.25, 1.25, 0.8, 1.35]
        axes = figure.subplots(4, 1, sharex=True, height_ratios=ratios)
        _draw_lanes(axes[0], lanes, ink, found.end_s)
        _rates(
            axes[1], found, "ok_per_s", "acknowledged/s" if narrow else "acknowledged, per second", ink, filled=False
        )
        _rates(axes[2], found, "bad_per_s", "failed, unknown or shed, per second", ink, filled=True)
        _latencies(axes[3], found, ink)
        for each in axes:
            bands(each, found, ink)
        _steps(axes[1], found, ink, narrow=narrow)
        axes[0].set_xlim(0, found.end_s)
        axes[3].set_xlabel("seconds since the measurement began")

    return Drawing("timeline", "Timeline of the measurement", _told(found), draw, (6.1, 6.6))


def _told(found: Timeline) -> str:
    faults = [f"{band.name} from {band.start_s:.1f} s to {band.end_s:.1f} s" for band in found.faults]
    windows = [f"{band.name} errors from {band.start_s:.1f} s to {band.end_s:.1f} s" for band in found.windows]
    leaders = [f"{band.name} leads from {band.start_s:.1f} s to {band.end_s:.1f} s" for band in found.leaders]
    parts = [*(faults or ["no fault"]), *leaders, *(windows or ["no error window"])]
    return f"{found.end_s:.0f} s of load. " + "; ".join(parts) + "."


def _lanes(found: Timeline) -> list[tuple[str, Sequence[Band]]]:
    """Each lane's label and its bands, top to bottom."""
    classes = dict.fromkeys(band.name for band in found.windows)
    errors = [(f"{name} errors", [band for band in found.windows if band.name == name]) for name in classes]
    return [("faults", found.faults), ("leader", found.leaders), *errors]


def _draw_lanes(axes: Axes, lanes: list[tuple[str, Sequence[Band]]], ink: Ink, end_s: float) -> None:
    colours = {"faults": ink.fault, "leader": ink.leader}
    for row, (label, bands) in enumerate(lanes):
        spans = [(band.start_s, max(band.end_s - band.start_s, end_s / 400)) for band in bands]
        hatch = None if label in colours else "////"
        axes.broken_barh(
            spans, (row - 0.36, 0.72), facecolor=colours.get(label, ink.bad), edgecolor=ink.paper, hatch=hatch, lw=0.5
        )
        if label in colours:
            for number, band in enumerate(bands):
                next_s = bands[number + 1].start_s if number + 1 < len(bands) else end_s
                _name(axes, band, row, ink, end_s, next_s)
    axes.set_yticks(range(len(lanes)), [label for label, _ in lanes])
    axes.set_ylim(len(lanes) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False)
    axes.spines["left"].set_visible(False)


def _name(axes: Axes, band: Band, row: int, ink: Ink, end_s: float, next_s: float) -> None:
    """Inside its band if there is room, else beside it; nowhere if there is none either."""
    needed_s = 0.016 * len(band.name) * end_s
    if band.end_s - band.start_s > needed_s:
        middle = (band.start_s + band.end_s) / 2
        axes.text(middle, row, band.name, ha="center", va="center", color=ink.paper, fontweight="bold")
    elif next_s - band.end_s > needed_s:
        axes.text(band.end_s, row, f" {band.name}", ha="left", va="center")


def bands(axes: Axes, found: Timeline, ink: Ink) -> None:
    """Shade the faults, and mark where each begins."""
    for band in found.faults:
        axes.axvspan(band.start_s, band.end_s, color=ink.fault, alpha=0.16, lw=0, zorder=0)
        axes.axvline(band.start_s, color=ink.fault, lw=0.8, zorder=0.5)


def _rates(axes: Axes, found: Timeline, what: str, title: str, ink: Ink, *, filled: bool) -> None:
    for one in found.classes:
        values = getattr(one, what)
        colour = getattr(ink, one.op_class)
        axes.stairs(values, found.edges_s, color=colour, lw=1.4, ls=_DASHES[one.op_class], label=f"{one.op_class}s")
        if filled:
            axes.stairs(values, found.edges_s, color=colour, fill=True, alpha=0.18)
    axes.set_ylim(bottom=0)
    axes.set_title(title)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    if found.classes and not filled:
        above(axes, 2)


def _latencies(axes: Axes, found: Timeline, ink: Ink) -> None:
    for one in found.classes:
        _latency(axes, one, found.edges_s, getattr(ink, one.op_class))
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(milliseconds))
    axes.set_title("response time, p99 (thin: median)")


def _latency(axes: Axes, one: ClassTimeline, edges: tuple[float, ...], colour: str) -> None:
    middles = [(before + after) / 2 for before, after in pairwise(edges)]
    for values, width in ((one.p99_ms, 1.5), (one.p50_ms, 0.7)):
        drawn = [float("nan") if value is None else max(value, 0.001) for value in values]
        marker = "." if width > 1 else ""
        axes.plot(middles, drawn, color=colour, lw=width, ls=_DASHES[one.op_class], marker=marker, ms=3)


def milliseconds(value: float, _: object = None) -> str:
    """A tick's text: microseconds to minutes, short."""
    if value == 0:
        return "0"
    if value >= 1000:
        return f"{value / 1000:g} s"
    return f"{value:g} ms" if value >= 1 else f"{value * 1000:g} µs"


def _steps(axes: Axes, found: Timeline, ink: Ink, *, narrow: bool) -> None:
    """T0 to T7 over the throughput; those too close to each other to be read share a text."""
    if len(found.faults) > _MOST_STEPS or not found.end_s:
        return
    least_s = found.end_s * (0.09 if narrow else 0.045)
    top = axes.get_ylim()[1]
    for steps in found.steps.values():
        groups: list[tuple[float, list[str]]] = []
        for name, at_s in steps:
            axes.axvline(at_s, color=ink.faint, lw=0.6, ls=":", zorder=0.6)
            if groups and at_s - groups[-1][0] < least_s * max(1, len(groups[-1][1]) * 0.7):
                groups[-1][1].append(name)
            else:
                groups.append((at_s, [name]))
        for at_s, names in groups:
            text = " ".join([names[0], *(name.removeprefix("T") for name in names[1:])])
            axes.text(at_s, top, f" {text}", ha="left", va="top", fontsize="small", color=ink.text)
