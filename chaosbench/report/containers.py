"""``containers.jsonl`` read back: what each container used, on the axis of the timeline, in bins of one length."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from chaosbench.model.containers import ContainerSpan
from chaosbench.model.report import Summary
from chaosbench.report.intervals import bin_width
from chaosbench.report.wording import quantity
from chaosbench.rolling.reading import lines_of

MIB = 2**20
HEADS = ("container", "CPU, mean", "max", "memory, mean", "max", "read", "written", "received", "sent")


@dataclass(frozen=True, slots=True)
class ContainerTimeline:
    """One member's container. None where the engine did not tell, or had no container to tell of.

    at_s:        middle of each bin, in seconds since the measurement began
    cores:       CPU in use, mean of the bin
    memory_mib:  in use, without idle file cache, mean of the bin
    """

    member: str
    at_s: tuple[float, ...]
    cores: tuple[float | None, ...]
    memory_mib: tuple[float | None, ...]


def read_containers(path: Path, seconds: float) -> tuple[ContainerTimeline, ...]:
    """The file of a measurement of so many seconds, members by name; nothing when there is no such file."""
    width = bin_width(seconds)
    found: dict[str, dict[int, list[tuple[float | None, float | None]]]] = defaultdict(lambda: defaultdict(list))
    for at_s, member, cores, memory in _told(lines_of(path)):
        found[member][int(at_s / width)].append((cores, memory))
    return tuple(
        ContainerTimeline(
            member=member,
            at_s=tuple((place + 0.5) * width for place in sorted(bins)),
            cores=tuple(_mean(one[0] for one in bins[place]) for place in sorted(bins)),
            memory_mib=tuple(_mean(one[1] for one in bins[place]) for place in sorted(bins)),
        )
        for member, bins in sorted(found.items())
    )


def _told(lines: Iterable[str]) -> Iterator[tuple[float, str, float | None, float | None]]:
    """Second, member, cores, MiB. A line that makes no sense is left out."""
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        for member, use in row["containers"].items():
            memory = use["memory_bytes"]
            yield row["at_s"], member, use["cpu"], None if memory is None else memory / MIB


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def container_rows(summary: Summary) -> list[tuple[str, ...]]:
    """What each container used during the load, as the cells under ``HEADS``."""
    return [_cells(one.member, one.load) for one in summary.containers]


def rows_in_faults(summary: Summary) -> dict[str, list[tuple[str, ...]]]:
    """The same by fault, from its injection until it was healed."""
    found: dict[str, list[tuple[str, ...]]] = {}
    for one in summary.containers:
        for fault, span in one.faults.items():
            found.setdefault(fault, []).append(_cells(one.member, span))
    return found


def _cells(member: str, span: ContainerSpan) -> tuple[str, ...]:
    sizes = (
        *(span.memory_mean_bytes, span.memory_max_bytes, span.read_bytes, span.written_bytes),
        *(span.receive_bytes, span.transmit_bytes),
    )
    cores = (quantity(span.cpu_mean, "cores"), quantity(span.cpu_max, "cores"))
    return (member, *cores, *(quantity(None if size is None else size / MIB, "MiB") for size in sizes))
