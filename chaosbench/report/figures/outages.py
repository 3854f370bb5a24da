"""Outage figures of several results side by side: every run a point."""

from __future__ import annotations

import random
import statistics
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from chaosbench.report.figures.sheet import Drawing, Ink

_MARKERS = "osD^vP*X"


def outages_figure(names: Sequence[str], values: Mapping[str, Sequence[Sequence[float]]]) -> Drawing:
    """A row for each figure.

    names:   of the results, in their order
    values:  by figure, in seconds, those of each of the results
    """
    used = list(values)

    def draw(figure: Figure, ink: Ink, narrow: bool) -> None:
        axes = figure.subplots()
        colours = [ink.read, ink.write, ink.leader, ink.proxy]
        for row, name in enumerate(used):
            for place, found in enumerate(values[name]):
                height = row + (place - (len(names) - 1) / 2) * 0.7 / len(names)
                _points(axes, height, found, colours[place % len(colours)], ink, place)
        for place, one in enumerate(names):
            axes.scatter([], [], color=colours[place % len(colours)], marker=_MARKERS[place % len(_MARKERS)], label=one)
        axes.set_yticks(range(len(used)), [name.replace("_", " ") for name in used])
        axes.set_ylim(len(used) - 0.4, -0.6)
        axes.set_xlim(left=0)
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel("seconds" if narrow else "seconds; point: a run, line: median")
        figure.legend(loc="outside lower center", ncols=1 if narrow else 2)

    told = "; ".join(
        f"{name}: " + ", ".join(f"{one} median {statistics.median(found):.2f} s" for one, found in pairs)
        for name, pairs in (
            (name, [(one, found) for one, found in zip(names, values[name], strict=True) if found]) for name in used
        )
    )
    height = 0.5 * len(used) + 0.9
    return Drawing("outages", "Outage figures side by side", f"{told}.", draw, (height, height + 0.2 * len(names)))


def _points(axes: Axes, height: float, found: Sequence[float], colour: str, ink: Ink, place: int) -> None:
    scatter = random.Random(place)  # noqa: S311 - only so that points do not cover each other
    places = [height + (scatter.uniform(-0.06, 0.06) if len(found) > 1 else 0) for _ in found]
    marker = _MARKERS[place % len(_MARKERS)]
    axes.scatter(found, places, s=20, color=colour, edgecolor=ink.text, linewidth=0.4, marker=marker, zorder=3)
    if len(found) > 1:
        middle = statistics.median(found)
        axes.plot([middle, middle], [height - 0.14, height + 0.14], color=ink.text, lw=1.4, zorder=4)
