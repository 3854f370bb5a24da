"""A summary's findings told as events, for those who watch a run from outside."""

from __future__ import annotations

from chaosbench.events import Kind
from chaosbench.model.report import FaultReport, LedgerReport, Summary
from chaosbench.sinks.hub import Hub


def tell_measured(summary: Summary | None, hub: Hub) -> None:
    """Say what every fault came to, and what the ledger did; nothing without a summary."""
    if summary is None:
        return
    for fault in summary.faults:
        hub.say(
            Kind.FAULT_MEASURED,
            scenario=summary.scenario,
            fault=fault.name,
            injector=fault.injector,
            target=fault.member,
            result=_result(fault),
            rto_s=fault.rto_s,
            path=fault.phases.path if fault.phases else None,
            phases=_phases(fault),
        )
    if summary.ledger is not None:
        _tell_ledger(summary.scenario, summary.ledger, hub)


def _tell_ledger(scenario: str, ledger: LedgerReport, hub: Hub) -> None:
    hub.say(
        Kind.LEDGER_COMPARED,
        scenario=scenario,
        checked=ledger.checked,
        acked=ledger.acked,
        lost=ledger.lost or 0,
        recovered=ledger.recovered or 0,
        unexpected=ledger.unexpected or 0,
    )


def _result(fault: FaultReport) -> str:
    if fault.injected_at_s is None:
        return "not_injected"
    if fault.rto_s is None:
        return "not_recovered"
    return "recovered" if fault.rto_s > 0 else "unnoticed"


def _phases(fault: FaultReport) -> dict[str, float | None]:
    phases = fault.phases
    if phases is None:
        return {}
    return {
        "detection": phases.detection_s,
        "election": phases.election_s,
        "promotion": phases.promotion_s,
        "proxy": phases.proxy_s,
        "client": phases.client_s,
        "redundancy": phases.redundancy_s,
        "degraded_tail": phases.degraded_tail_s,
    }
