"""Each fault's figures once it is over: told, written to ``faults.jsonl``, counted; memory for the newest only.

A fault is over when it is healed, writes are back, the observers have seen a whole cluster, and what it may still
have caused has had its time (``tying.AFTERMATH_NS``). What is told then stands in ``faults.jsonl``. Of a soak that is
the last word; otherwise the summary looks once more at those of the newest faults that are remembered.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from chaosbench.clock import NS, to_s
from chaosbench.events import Kind
from chaosbench.model.report import ErrorWindow, FaultReport
from chaosbench.observers.watch import Watch
from chaosbench.recorder.recorder import Recorder
from chaosbench.scenarios.fault_report import Scene, fault_report
from chaosbench.scenarios.fault_table import FaultTable, nearest, result
from chaosbench.scenarios.faults import FaultRecord, Faults
from chaosbench.scenarios.tying import AFTERMATH_NS, reach, tied

if TYPE_CHECKING:
    from chaosbench.scenarios.run import Bench

FAULTS = "faults.jsonl"
_FORGET_NS = 300 * NS
_BEFORE_NS = 60 * NS
"""Observations from so long before the oldest fault that is remembered are kept."""

_REPORT: TypeAdapter[FaultReport] = TypeAdapter(FaultReport)


class Telling:
    """Looks at the faults of one scenario, about once a second.

    remembered:  so many of the newest faults are kept with all that was observed of them, when they are over
    told:        their reports, by name
    """

    def __init__(
        self, faults: Faults, recorder: Recorder, watch: Watch, bench: Bench, table: FaultTable, remembered: int
    ) -> None:
        self._faults = faults
        self._recorder = recorder
        self._watch = watch
        self._anchor = bench.anchor
        self._hub = bench.hub
        self._table = table
        self._remembered = remembered
        self._path = bench.directory / FAULTS if bench.directory else None
        self._forgot_ns = recorder.began_ns
        self.told: dict[str, FaultReport] = {}

    def tick(self) -> tuple[FaultReport, ...]:
        """Tell of the faults that are over now."""
        now_ns = self._recorder.clock.now()
        if now_ns - self._forgot_ns >= _FORGET_NS:
            self._forget_seen(now_ns)  # things also change where no fault comes
        return self._tell([record for record in self._faults.records if self._over(record, now_ns)], now_ns)

    def rest(self, end_ns: int) -> None:
        """Tell of all others: the load ended at ``end_ns``, and what is not over by now is reported as it is."""
        self._tell([record for record in self._faults.records if not record.told], end_ns)

    def under_way(self) -> list[FaultReport]:
        """The faults that have come and are not over, as they stand."""
        now_ns = self._recorder.clock.now()
        open_ = [record for record in self._faults.records if not record.told and record.outage is not None]
        windows = self._tied(open_)
        return [fault_report(record, windows, self._scene(now_ns)) for record in open_]

    def lost(self, done_ns: Iterable[int]) -> None:
        """Ledger rows acknowledged at these times are lost: whose fault was that?"""
        reports = (*self._table.reports, *self.told.values(), *self.under_way())
        t0s = [(one.injecting_at_s, one.name) for one in reports if one.injecting_at_s is not None]
        for at_ns in done_ns:
            fault = nearest(t0s, to_s(at_ns - self._recorder.started_ns))
            if fault is not None:
                self._table.lost(fault, 1)

    def _over(self, record: FaultRecord, now_ns: int) -> bool:
        outage, injection, watch = record.outage, record.injection, record.watch
        if record.told:
            return False
        if outage is None or injection is None:
            return record.skipped is not None or record.error is not None
        if watch is not None and self._watch.observes and watch.closed_ns is None:
            return False
        ended_ns = injection.healed_ns or (now_ns if injection.heal_error is not None else None)
        back_ns = outage.t6_ns(record.outage_ns or now_ns)
        if ended_ns is None or (outage.t1_ns is not None and back_ns is None):
            return False
        return now_ns >= max(ended_ns, back_ns or 0) + AFTERMATH_NS

    def _scene(self, end_ns: int) -> Scene:
        return Scene.of(self._recorder, self._anchor, self._watch, self._faults.records, end_ns, self._recorder.leader)

    def _tell(self, records: list[FaultRecord], end_ns: int) -> tuple[FaultReport, ...]:
        if not records:
            return ()
        windows, scene, reports = self._tied(records), self._scene(end_ns), []
        for record in records:
            report = fault_report(record, windows, scene)
            record.told = True
            self.told[report.name] = report
            self._table.add(record.plan.source or record.plan.name, report)
            self._hub.say(Kind.FAULT_OVER, **_told(report))
            reports.append(report)
        self._write(reports)
        self._forget()
        return tuple(reports)

    def _tied(self, records: list[FaultRecord]) -> tuple[ErrorWindow, ...]:
        """The windows that these faults may have opened. Whose each is, is settled: faults to come have a later T0."""
        t0s = [record.outage.t0_ns for record in records if record.outage is not None]
        if not t0s:
            return ()
        seen = tuple(window for window in self._recorder.windows() if window.seen_ns >= min(t0s))
        found = tied(seen, tuple(self._faults.records), self._recorder.started_ns)
        for window, told in zip(seen, found, strict=True):
            window.fault = told.fault
        return found

    def _write(self, reports: list[FaultReport]) -> None:
        if self._path is None:
            return
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.writelines(json.dumps(_REPORT.dump_python(report, mode="json")) + "\n" for report in reports)
        except OSError as error:
            self._hub.say(Kind.WARNING, text=f"{self._path} could not be written: {error.strerror}")

    def _forget(self) -> None:
        """Remember the newest; of the others their reports, and nothing that was observed."""
        over = [record for record in self._faults.records if record.told]
        for record in over[: max(0, len(over) - self._remembered)]:
            if self._still_needed(record):
                continue
            self._faults.let_go(record)
            self._table.keep(self.told.pop(record.plan.name))
        self._forget_seen(self._recorder.clock.now())

    def _still_needed(self, record: FaultRecord) -> bool:
        """For its T0, which a fault that came meanwhile is seen against; or to heal it after the load."""
        if record.injection is not None and record.injection.heal_error is not None:
            return True
        t0s = [other.outage.t0_ns for other in self._faults.records if not other.told and other.outage is not None]
        return reach(record)[1] >= min(t0s, default=sys.maxsize)

    def _forget_seen(self, now_ns: int) -> None:
        self._forgot_ns = now_ns
        t0s = [record.outage.t0_ns for record in self._faults.records if record.outage is not None]
        self._watch.forget(min(t0s, default=now_ns) - _BEFORE_NS)


def _told(report: FaultReport) -> dict[str, Any]:
    return {
        "fault": report.name,
        "injector": report.injector,
        "target": report.member or report.target,
        "result": result(report),
        "rto_s": report.rto_s,
        "write_gap_s": report.write_gap_s,
        "redundancy_s": report.phases.redundancy_s if report.phases else None,
        "path": report.phases.path if report.phases else None,
    }
