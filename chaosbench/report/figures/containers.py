"""What the containers used, on the axis of the timeline and with its faults."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from chaosbench.report.containers import ContainerTimeline
from chaosbench.report.figures.sheet import Drawing, Ink, above
from chaosbench.report.figures.timeline import bands
from chaosbench.report.folding import Timeline

_DASHES = ("-", (0, (4, 1.5)), (0, (1, 1.2)), (0, (6, 1.5, 1, 1.5)))
"""Lines differ in their dashes as well, so that grey still tells them apart."""


def containers_figure(found: Sequence[ContainerTimeline], beside: Timeline) -> Drawing:
    """CPU above memory, a line for each container; faults are shaded as in the timeline."""

    def draw(figure: Figure, ink: Ink, narrow: bool) -> None:
        cpu, memory = figure.subplots(2, 1, sharex=True)
        _lines(cpu, found, "cores", ink)
        _lines(memory, found, "memory_mib", ink)
        cpu.set_title("CPU, cores")
        memory.set_title("memory, MiB")
        for each in (cpu, memory):
            bands(each, beside, ink)
        above(cpu, 3 if narrow else len(found))
        cpu.set_xlim(0, beside.end_s)
        memory.set_xlabel("seconds since the measurement began")

    return Drawing("containers", "What the containers used", _told(found), draw, (3.6, 4.2))


def _lines(axes: Axes, found: Sequence[ContainerTimeline], what: str, ink: Ink) -> None:
    colours = cycle((ink.read, ink.write, ink.leader, ink.bad, ink.detection, ink.proxy, ink.election))
    for one, colour, dashes in zip(found, colours, cycle(_DASHES), strict=False):
        values = [float("nan") if value is None else value for value in getattr(one, what)]
        axes.plot(one.at_s, values, color=colour, lw=1.2, ls=dashes, label=one.member)
    axes.set_ylim(bottom=0)


def _told(found: Sequence[ContainerTimeline]) -> str:
    parts = []
    for one in found:
        cores = [value for value in one.cores if value is not None]
        memory = [value for value in one.memory_mib if value is not None]
        most = [f"up to {max(cores):.2f} cores"] if cores else []
        most += [f"{max(memory):.0f} MiB"] if memory else []
        parts.append(f"{one.member}: {' and '.join(most) or 'nothing told'}")
    return "; ".join(parts) + "."
