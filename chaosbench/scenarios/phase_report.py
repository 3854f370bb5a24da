"""A fault's phases for the summary, from what the observers and the recorder saw."""

from __future__ import annotations

from collections.abc import Iterable

from chaosbench.clock import NS, to_s
from chaosbench.injectors.life import Injection
from chaosbench.model.cluster import Role
from chaosbench.model.observation import DcsView, Observations
from chaosbench.model.phases import EngineStamp, ObserverReport, PhaseReport, Phases, Span
from chaosbench.observers.tail import Tail
from chaosbench.observers.watch import FaultWatch, Watch
from chaosbench.outage import Gap, WriteOutage
from chaosbench.outcome import OpClass
from chaosbench.phases import phases
from chaosbench.recorder.recorder import Recorder
from chaosbench.scenarios.faults import FaultRecord

_ENGINE_NS = 2 * NS
"""The container engine's events so long before and after a fault are still taken for its own."""


def phase_report(
    record: FaultRecord, watch: Watch, recorder: Recorder, load_ended_ns: int, t0s: Iterable[int]
) -> PhaseReport | None:
    """One fault's phases; None when it was not injected or nothing was observed.

    t0s:  when any fault of the scenario was injected: the next one after this one was healed ends its span
    """
    fault, outage = record.watch, record.outage
    if fault is None or outage is None or fault.t0_ns is None or not watch.observes:
        return None
    over_ns = fault.over_ns if fault.over_ns is not None else watch.now_ns
    end_ns = min((t0_ns for t0_ns in t0s if t0_ns >= over_ns), default=watch.now_ns)
    t1_ns, t6_ns = _outage(recorder, outage, fault, load_ended_ns)
    seen = watch.observations()
    found = phases(Span(fault.t0_ns, end_ns, t1_ns, t6_ns, _canary(fault)[1]), seen)
    return _Writer(recorder.started_ns).report(found, fault, record.injection, seen, watch.tail)


def _outage(
    recorder: Recorder, outage: WriteOutage, fault: FaultWatch, load_ended_ns: int
) -> tuple[int | None, int | None]:
    """T1 and T6: the load's, or the canary's when the load does not write."""
    if any(tally.op_class is OpClass.WRITE for tally in recorder.operations()):
        return outage.t1_ns, outage.t6_ns(load_ended_ns)
    return _canary(fault)


def _no_write(fault: FaultWatch) -> Gap | None:
    if fault.service is None or fault.closed_ns is None:
        return None
    return fault.service.longest_gap(fault.closed_ns)


def _canary(fault: FaultWatch) -> tuple[int | None, int | None]:
    if fault.canary is None or fault.closed_ns is None:
        return None, None
    return fault.canary.t1_ns, fault.canary.t6_ns(fault.closed_ns)


class _Writer:
    """Turns stamps into seconds since the measurement began."""

    def __init__(self, start_ns: int) -> None:
        self._start_ns = start_ns

    def report(
        self, found: Phases, fault: FaultWatch, injection: Injection | None, seen: Observations, tail: Tail | None
    ) -> PhaseReport:
        """The report of one fault."""
        hits = [hit.member for hit in injection.hits] if injection else []
        dcs = fault.dcs or DcsView(found.t0_ns)
        canary_t1_ns, canary_t6_ns = _canary(fault)
        gap = _no_write(fault)
        return PhaseReport(
            path=found.path.value,
            t0_s=to_s(found.t0_ns - self._start_ns),
            **{f"t{number}_s": self._since(getattr(found, f"t{number}_ns")) for number in range(1, 8)},
            within_s={name: to_s(length) for name, length in found.within_ns.items()},
            detection_s=_seconds(found.detection_ns),
            election_s=_seconds(found.election_ns),
            promotion_s=_seconds(found.promotion_ns),
            proxy_s=_seconds(found.proxy_ns),
            client_s=_seconds(found.client_ns),
            redundancy_s=_seconds(found.redundancy_ns),
            degraded_tail_s=_tail(found, tail),
            elections=found.elections,
            hangs_at=found.hangs_at.value if found.hangs_at else None,
            why=found.why,
            lease_ttl_s=dcs.lease_ttl_s,
            etcd_leader=dcs.leader,
            etcd_hit=", ".join(hit.name for hit in hits if hit.role is Role.ETCD) or None,
            canary_t1_s=self._since(canary_t1_ns),
            canary_t6_s=self._since(canary_t6_ns),
            no_write_from_s=self._since(gap.from_ns if gap else None),
            no_write_to_s=self._since(gap.to_ns if gap else None),
            engine=self._engine(found.t0_ns, fault, seen, {hit.name for hit in hits}),
        )

    def _since(self, at_ns: int | None) -> float | None:
        return None if at_ns is None else to_s(at_ns - self._start_ns)

    def _engine(self, t0_ns: int, fault: FaultWatch, seen: Observations, members: set[str]) -> tuple[EngineStamp, ...]:
        until_ns = (fault.over_ns or t0_ns) + _ENGINE_NS
        return tuple(
            EngineStamp(at_s=to_s(event.engine_ns - self._start_ns), action=event.action)
            for event in seen.engine
            if event.member in members and t0_ns - _ENGINE_NS <= event.engine_ns <= until_ns
        )


def _seconds(length_ns: int | None) -> float | None:
    return None if length_ns is None else to_s(length_ns)


def _tail(found: Phases, tail: Tail | None) -> float | None:
    if tail is None or found.t6_ns is None:
        return None
    back_ns = tail.back_ns(found.t6_ns)
    return None if back_ns is None else to_s(back_ns - found.t6_ns)


def observer_reports(watch: Watch) -> tuple[ObserverReport, ...]:
    """What each observer cost, and which failed."""
    rates, failed = watch.rates(), watch.observations().failed
    return tuple(
        ObserverReport(
            name=name,
            quick_per_s=rates.get(name, (0.0, 0.0))[0],
            slow_per_s=rates.get(name, (0.0, 0.0))[1],
            failed=failed.get(name),
        )
        for name in sorted({*rates, *failed})
    )
