"""The rolling table of faults: aggregates of all, the newest and the worst in full. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import TypeAdapter

from chaosbench.model.report import FaultReport
from chaosbench.model.soak import FaultFigures, FaultRow

KEPT = 100
"""Faults that are kept in full; and as many of the worst and the troubled as ``WORST`` says."""
WORST = 20
VALUES = 2000
"""Newest values of a figure that its quantiles are made of; count, mean and worst are of all."""

_REPORT: TypeAdapter[FaultReport] = TypeAdapter(FaultReport)


@dataclass(slots=True)
class Values:
    """One figure over faults."""

    n: int = 0
    total: float = 0.0
    worst: float | None = None
    worst_fault: str | None = None
    newest: deque[float] = field(default_factory=lambda: deque(maxlen=VALUES))

    def add(self, value: float | None, fault: str) -> None:
        """Count one; None is no value."""
        if value is None:
            return
        self.n += 1
        self.total += value
        self.newest.append(value)
        if self.worst is None or value > self.worst:
            self.worst, self.worst_fault = value, fault

    def figures(self) -> FaultFigures:
        """As the summary has it; quantiles by the nearest rank."""
        if not self.n:
            return FaultFigures()
        ordered = sorted(self.newest)
        rank = {share: max(0, -(-share * len(ordered) // 100) - 1) for share in (50, 90)}
        return FaultFigures(
            n=self.n,
            mean=round(self.total / self.n, 6),
            median=ordered[rank[50]],
            p90=ordered[rank[90]],
            worst=self.worst,
            worst_fault=self.worst_fault,
        )


_COUNTS = ("recovered", "unnoticed", "not_recovered", "trouble", "skipped", "lost_rows")
_FIGURES = ("rto_s", "write_gap_s", "redundancy_s")


@dataclass(slots=True)
class _Row:
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_COUNTS, 0))
    values: dict[str, Values] = field(default_factory=lambda: {name: Values() for name in _FIGURES})


class FaultTable:
    """Told of every fault once it is over."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], _Row] = {}
        self._of: deque[tuple[str, tuple[str, str]]] = deque(maxlen=KEPT)
        self._written: dict[str, str] = {}
        self.reports: list[FaultReport] = []

    def add(self, entry: str, report: FaultReport) -> None:
        """A fault is over."""
        key = (entry, report.injector)
        row = self._rows.setdefault(key, _Row())
        self._of.append((report.name, key))
        row.counts[result(report)] += 1
        if report.skipped is None and report.injecting_at_s is not None:
            row.values["rto_s"].add(report.rto_s, report.name)
            row.values["write_gap_s"].add(report.write_gap_s, report.name)
            row.values["redundancy_s"].add(report.phases.redundancy_s if report.phases else None, report.name)

    def lost(self, fault: str, rows: int) -> None:
        """So many rows more were lost by a fault; of one that came long ago nothing is counted."""
        key = next((key for name, key in self._of if name == fault), None)
        if key is not None:
            self._rows[key].counts["lost_rows"] += rows

    def keep(self, report: FaultReport) -> None:
        """Keep a fault in full. The oldest makes room; the worst stay, as far as there is room for them."""
        self.reports.append(report)
        if len(self.reports) > KEPT + WORST:
            worst = {id(one) for one in sorted(self.reports[:-KEPT], key=_badness)[-WORST:]}
            self.reports = [one for one in self.reports[:-KEPT] if id(one) in worst] + self.reports[-KEPT:]

    def rows(self) -> tuple[FaultRow, ...]:
        """The table."""
        return tuple(
            FaultRow(
                entry=entry,
                injector=injector,
                rto_s=row.values["rto_s"].figures(),
                write_gap_s=row.values["write_gap_s"].figures(),
                redundancy_s=row.values["redundancy_s"].figures(),
                **row.counts,
            )
            for (entry, injector), row in sorted(self._rows.items())
        )

    def stored(self, more: Iterable[FaultReport] = ()) -> dict[str, Any]:
        """As JSON values; ``more`` reports are stored as if they were kept."""
        rows = [
            {
                "key": list(key),
                "counts": row.counts,
                "values": {
                    name: [one.n, one.total, one.worst, one.worst_fault, list(one.newest)]
                    for name, one in row.values.items()
                },
            }
            for key, row in self._rows.items()
        ]
        return {
            "rows": rows,
            "of": [[name, list(key)] for name, key in self._of],
            "reports": self._texts((*self.reports, *more)),
        }

    def _texts(self, reports: Iterable[FaultReport]) -> list[str]:
        """Each report as JSON, made once: this is done every few seconds, beside the load."""
        old = self._written
        self._written = {one.name: old.get(one.name) or _REPORT.dump_json(one).decode() for one in reports}
        return list(self._written.values())

    @classmethod
    def restored(cls, found: dict[str, Any]) -> FaultTable:
        """From what :meth:`stored` gave."""
        table = cls()
        for each in found["rows"]:
            row = table._rows[each["key"][0], each["key"][1]] = _Row(counts=each["counts"])
            for name, (n, total, worst, fault, newest) in each["values"].items():
                row.values[name] = Values(n, total, worst, fault, deque(newest, maxlen=VALUES))
        table._of.extend((name, (key[0], key[1])) for name, key in found["of"])
        table.reports = [_REPORT.validate_json(report) for report in found["reports"]]
        return table


def result(report: FaultReport) -> str:
    """What a fault came to, in a word."""
    if report.skipped is not None:
        return "skipped"
    if report.injected_at_s is None or report.error is not None or report.lost_at_s is not None:
        return "trouble"
    if report.recovered is False:
        return "not_recovered"
    return "recovered" if report.rto_s else "unnoticed"


def _badness(report: FaultReport) -> tuple[bool, bool, float]:
    return (result(report) == "trouble", report.recovered is False, report.rto_s or 0.0)


def nearest(faults: Iterable[tuple[float, str]], at_s: float) -> str | None:
    """The fault whose T0 is nearest to a time."""
    return min(((abs(t0_s - at_s), name) for t0_s, name in faults), default=(0.0, None))[1]


def cut_off(report: FaultReport) -> FaultReport:
    """A fault during which chaosbench ended: the guard healed it, and nobody saw what it came to."""
    return replace(report, skipped="chaosbench ended while it was in place, or soon after: not measured")
