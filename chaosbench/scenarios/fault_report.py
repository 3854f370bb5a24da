"""One fault's report: what the clients' writes lived through because of it. Nothing is measured here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from chaosbench.clock import Anchor, iso, to_s
from chaosbench.model.report import ErrorWindow, FaultReport
from chaosbench.observers.watch import Watch
from chaosbench.outcome import OpClass
from chaosbench.recorder.recorder import Recorder
from chaosbench.scenarios.faults import FaultRecord
from chaosbench.scenarios.phase_report import phase_report


@dataclass(frozen=True, slots=True)
class Scene:
    """What a fault is seen against.

    end_ns:  the end of the load, or now
    t0s:     when each fault was injected: the next one ends the span of the one before
    """

    recorder: Recorder
    anchor: Anchor
    watch: Watch | None
    t0s: tuple[int, ...]
    end_ns: int
    leader: str | None

    @classmethod
    def of(
        cls,
        recorder: Recorder,
        anchor: Anchor,
        watch: Watch | None,
        faults: Iterable[FaultRecord],
        end_ns: int,
        leader: str | None,
    ) -> Scene:
        """That of these faults."""
        t0s = tuple(record.outage.t0_ns for record in faults if record.outage is not None)
        return cls(recorder, anchor, watch, t0s, end_ns, leader)


def fault_report(record: FaultRecord, windows: tuple[ErrorWindow, ...], scene: Scene) -> FaultReport:
    """The report of one fault, as far as it is known by the end of the scene."""
    start_ns, end_ns = scene.recorder.started_ns, record.outage_ns or scene.end_ns
    outage, injection = record.outage, record.injection
    injected_ns = injection.injected_ns if injection else None
    healed_ns = injection.healed_ns if injection else None
    t1_ns = outage.t1_ns if outage else None
    t6_ns = outage.t6_ns(end_ns) if outage else None
    writes = any(tally.op_class is OpClass.WRITE for tally in scene.recorder.operations())
    rto_s, recovered = None, None
    if outage is not None and writes:
        recovered = t1_ns is None or t6_ns is not None
        rto_s = 0.0 if t1_ns is None else to_s(t6_ns - outage.t0_ns) if t6_ns is not None else None

    def since(at_ns: int | None) -> float | None:
        return None if at_ns is None else to_s(at_ns - start_ns)

    def date(at_ns: int | None) -> str | None:
        return None if at_ns is None else iso(scene.anchor.date(at_ns))

    return FaultReport(
        name=record.plan.name,
        injector=record.plan.injector.kind,
        target=record.plan.injector.target,
        member=injection.names if injection else None,
        planned_at_s=record.plan.at,
        injecting_at_s=since(outage.t0_ns if outage else None),
        injected_at_s=since(injected_ns),
        injected_at=date(injected_ns),
        healed_at_s=since(healed_ns),
        healed_at=date(healed_ns),
        lost_at_s=since(injection.lost_ns if injection else None),
        recovered=recovered,
        rto_s=rto_s,
        t1_s=since(t1_ns),
        t6_s=since(t6_ns),
        write_gap_s=to_s(outage.longest_gap(end_ns).length_ns) if outage and writes else None,
        leader_before=record.leader_before,
        leader_after=scene.leader,
        error_windows=tuple(window for window in windows if window.fault == record.plan.name),
        skipped=record.skipped,
        error=record.error or (str(injection.heal_error) if injection and injection.heal_error else None),
        phases=phase_report(record, scene.watch, scene.recorder, end_ns, scene.t0s) if scene.watch else None,
    )
