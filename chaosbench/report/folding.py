"""From what a run left behind to what the figures show. Pure: numbers in, numbers out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chaosbench.histogram import Histogram
from chaosbench.model.report import FaultReport, Summary
from chaosbench.report.intervals import Bin, Intervals

CLASSES = ("read", "write")
PHASES = ("detection", "election", "promotion", "proxy", "client")
UNEXPLAINED = "not taken apart"
_ROUNDING_S = 0.002
TAGS = tuple(f"{one}-{kind}" for one in CLASSES for kind in ("ok-response", "all-response", "ok-service"))


@dataclass(frozen=True, slots=True)
class ClassTimeline:
    """One class of traffic, bin by bin. None where nothing ended.

    bad_per_s:       what did not end ok, shed arrivals included
    p50_ms, p99_ms:  response time of everything that ended, so that an outage shows
    """

    op_class: str
    ok_per_s: tuple[float, ...]
    bad_per_s: tuple[float, ...]
    p50_ms: tuple[float | None, ...]
    p99_ms: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Band:
    """A stretch of time with a name."""

    name: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Timeline:
    """What clients lived through, second by second. ``edges_s`` has one more value than there are bins.

    steps:  by fault, the instants of its steps (``T1``) in order
    """

    end_s: float
    edges_s: tuple[float, ...]
    classes: tuple[ClassTimeline, ...]
    faults: tuple[Band, ...]
    windows: tuple[Band, ...]
    leaders: tuple[Band, ...]
    steps: Mapping[str, tuple[tuple[str, float], ...]]


@dataclass(frozen=True, slots=True)
class Curve:
    """Latency by percentile: ``percents`` and the milliseconds at each."""

    name: str
    count: int
    percents: tuple[float, ...]
    ms: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class PhaseBar:
    """One fault's RTO as a row of pieces that add up to it. ``note`` says what there is instead, if there is no RTO."""

    label: str
    pieces: tuple[tuple[str, float], ...]
    rto_s: float | None
    note: str


def timeline(summary: Summary, intervals: Intervals | None, events: Sequence[Mapping[str, Any]]) -> Timeline:
    """Load, faults, error windows and leaders on one axis: seconds since the measurement began."""
    bins = intervals.bins if intervals else []
    end_s = max(summary.duration_s, bins[-1].end_s if bins else 0.0)
    used = [one for one in CLASSES if intervals and f"{one}-all-response" in intervals.totals]
    return Timeline(
        end_s=end_s,
        edges_s=(bins[0].start_s, *(one.end_s for one in bins)) if bins else (),
        classes=tuple(_class(one, bins) for one in used),
        faults=tuple(_fault_bands(summary, end_s)),
        windows=tuple(Band(w.op_class, w.start_s, w.end_s) for w in summary.error_windows),
        leaders=tuple(_leaders(summary, events, end_s)),
        steps={fault.name: tuple(steps(fault)) for fault in summary.faults},
    )


def _class(op_class: str, bins: Sequence[Bin]) -> ClassTimeline:
    ok_per_s, bad_per_s, p50_ms, p99_ms = [], [], [], []
    for one in bins:
        every = one.by_tag.get(f"{op_class}-all-response", Histogram())
        ok = one.by_tag.get(f"{op_class}-ok-response", Histogram()).total
        ok_per_s.append(ok / one.length_s)
        bad_per_s.append((every.total - ok) / one.length_s)
        p50, p99 = every.percentiles_ms((50, 99))
        p50_ms.append(p50)
        p99_ms.append(p99)
    return ClassTimeline(op_class, tuple(ok_per_s), tuple(bad_per_s), tuple(p50_ms), tuple(p99_ms))


def _fault_bands(summary: Summary, end_s: float) -> Iterator[Band]:
    for fault in summary.faults:
        if fault.injecting_at_s is not None:
            healed_s = fault.healed_at_s if fault.healed_at_s is not None else end_s
            yield Band(fault.name, fault.injecting_at_s, healed_s)


def _leaders(summary: Summary, events: Sequence[Mapping[str, Any]], end_s: float) -> Iterator[Band]:
    """Who led when. Events count from another zero, so their dates are laid beside the measurement's."""
    began = datetime.fromisoformat(summary.started_at)
    leader = next((fault.leader_before for fault in summary.faults if fault.leader_before), None)
    since_s = 0.0
    for event in events:
        if event.get("kind") != "leader_changed":
            continue
        at_s = (datetime.fromisoformat(event["wall"]) - began).total_seconds()
        was, now = event.get("was"), event.get("leader")
        if 0 < at_s < end_s and was is not None:
            yield Band(was, since_s, at_s)
        leader, since_s = now, min(max(0.0, at_s), end_s)
    if leader is not None and since_s < end_s:
        yield Band(leader, since_s, end_s)


def steps(fault: FaultReport) -> Iterator[tuple[str, float]]:
    """T0 to T7 as far as they were reached, in order of time."""
    if fault.phases is not None:
        found = [(f"T{n}", getattr(fault.phases, f"t{n}_s")) for n in range(8)]
    else:
        found = [("T0", fault.injecting_at_s), ("T1", fault.t1_s), ("T6", fault.t6_s)]
    yield from sorted(((name, at_s) for name, at_s in found if at_s is not None), key=lambda step: step[1])


def curves(intervals: Intervals | None) -> tuple[Curve, ...]:
    """Response times of each class: acknowledged and all, and the service time to see the waiting by."""
    found = []
    names = {
        "ok-response": "response, acknowledged",
        "all-response": "response, every outcome",
        "ok-service": "service, acknowledged",
    }
    for op_class in CLASSES:
        for kind, name in names.items():
            histogram = intervals.totals.get(f"{op_class}-{kind}") if intervals else None
            if histogram is not None and histogram.total:
                found.append(_curve(f"{op_class}: {name}", histogram))
    return tuple(found)


def _curve(name: str, histogram: Histogram) -> Curve:
    """As far out as there is an operation to tell by: 99.9 % of a hundred operations means nothing."""
    total = histogram.total
    nines = math.log10(total)
    places = [k / 12 for k in range(int(nines * 12) + 1)]
    percents = (*(100 * (1 - 10**-nine) for nine in places), 100 * (1 - 1 / total))
    found = histogram.percentiles_ms(percents)
    return Curve(name, total, percents, tuple(value for value in found if value is not None))


def phase_bar(fault: FaultReport, label: str) -> PhaseBar:
    """What the RTO consists of; what no phase accounts for is a piece of its own, never spread over the others."""
    if fault.rto_s is None:
        return PhaseBar(label, (), None, _no_rto(fault))
    lengths = [(name, getattr(fault.phases, f"{name}_s")) for name in PHASES] if fault.phases else []
    pieces = [(name, seconds) for name, seconds in lengths if seconds]
    rest = fault.rto_s - sum(seconds for _, seconds in pieces)
    if rest < -_ROUNDING_S or not pieces:
        pieces = []  # the phases are of a path that is not the clients' outage: they do not add up to it
        rest = fault.rto_s
    if rest > _ROUNDING_S:
        pieces.append((UNEXPLAINED, rest))
    note = "no write failed" if fault.rto_s == 0 else fault.phases.path if fault.phases else ""
    return PhaseBar(label, tuple(pieces), fault.rto_s, note)


def _no_rto(fault: FaultReport) -> str:
    if fault.injecting_at_s is None:
        return "not injected"
    if fault.recovered is False:
        where = f": hangs at {fault.phases.hangs_at}" if fault.phases and fault.phases.hangs_at else ""
        return f"writes did not come back{where}"
    return "no writes to measure with"
