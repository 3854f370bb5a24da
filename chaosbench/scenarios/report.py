"""The summary: figures put together from what was recorded, without any of it being measured here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import chaosbench
from chaosbench.clock import NS, Anchor, iso, to_s
from chaosbench.expectations import judge
from chaosbench.histogram import Histogram, merged
from chaosbench.model.consistency import Consistency
from chaosbench.model.report import (
    Counts,
    FaultReport,
    Generator,
    Latency,
    LedgerReport,
    Load,
    OperationReport,
    Percentiles,
    Summary,
    Verdict,
    worst,
)
from chaosbench.model.soak import SoakReport
from chaosbench.model.workers import WorkerReport
from chaosbench.observers.watch import Watch
from chaosbench.outcome import OpClass
from chaosbench.recorder.recorder import Recorder
from chaosbench.recorder.tally import Tally
from chaosbench.scenarios.fault_report import Scene, fault_report
from chaosbench.scenarios.faults import FaultRecord
from chaosbench.scenarios.losses import beside_fault
from chaosbench.scenarios.phase_report import observer_reports
from chaosbench.scenarios.scenario import Scenario
from chaosbench.scenarios.tying import tied
from chaosbench.scenarios.worker_report import lost_workers, without_workers

SUSPECT_SHARE = 0.01
"""A generator that was late for more than this share of the time does not vouch for latencies."""


@dataclass(frozen=True, slots=True)
class Measured:
    """All that a finished scenario left behind. ``earlier``: faults that are over and of which only this is left."""

    scenario: Scenario
    seed: int
    anchor: Anchor
    recorder: Recorder
    load_ended_ns: int
    finished_ns: int
    faults: tuple[FaultRecord, ...]
    leader_after: str | None
    ledger: LedgerReport | None
    whole_again: bool
    interrupted: bool
    warnings: tuple[str, ...]
    environment: dict[str, str]
    scenario_file: str
    watch: Watch | None = None
    earlier: tuple[FaultReport, ...] = ()
    soak: SoakReport | None = None
    consistency: Consistency = field(default_factory=Consistency)
    workers: tuple[WorkerReport, ...] = ()


def summarise(measured: Measured) -> Summary:
    """The summary with its expectations judged and the scenario's verdict."""
    recorder, start_ns = measured.recorder, measured.recorder.started_ns
    windows = tied(recorder.windows(), measured.faults, start_ns)
    operations = tuple(recorder.operations())
    seconds = (measured.load_ended_ns - start_ns) / NS
    counts = counted(operations)
    scene = Scene.of(
        recorder, measured.anchor, measured.watch, measured.faults, measured.load_ended_ns, measured.leader_after
    )
    faults = (*measured.earlier, *(fault_report(record, windows, scene) for record in measured.faults))
    summary = Summary(
        chaosbench=chaosbench.__version__,
        scenario=measured.scenario.name,
        description=measured.scenario.description,
        seed=measured.seed,
        started_at=measured.soak.segments[0].started_at if measured.soak else iso(measured.anchor.date(start_ns)),
        started_monotonic_ns=start_ns,
        finished_at=iso(measured.anchor.date(measured.finished_ns)),
        duration_s=round(seconds, 3),
        verdict=Verdict.UNKNOWN,
        why="",
        expectations=(),
        load=Load(
            **{name: getattr(counts, name) for name in ("attempted", "ok", "failed", "unknown", "shed", "in_flight")},
            offered_per_s=round(counts.attempted / seconds, 3) if seconds else 0.0,
            ok_per_s=round(counts.ok / seconds, 3) if seconds else 0.0,
        ),
        connects=counted(tally for tally in recorder.tallies if tally.op_class is OpClass.CONNECT),
        latency_ms=latency(operations),
        operations=tuple(operation_report(tally) for tally in recorder.tallies),
        faults=faults,
        error_windows=windows,
        ledger=_ledger(measured.ledger, faults),
        consistency=measured.consistency,
        generator=_generator(recorder, measured.load_ended_ns - start_ns),
        warnings=(*measured.warnings, *lost_workers(measured.workers)),
        cluster_whole_again=measured.whole_again,
        environment=measured.environment,
        scenario_file=measured.scenario_file,
        observers=observer_reports(measured.watch) if measured.watch else (),
        observers_quick_s=to_s(measured.watch.quick_ns) if measured.watch else 0.0,
        stopped_early=measured.interrupted,
        workers=measured.workers,
        soak=measured.soak,
    )
    return _judged(summary, measured.scenario, interrupted=measured.interrupted)


def _ledger(report: LedgerReport | None, faults: tuple[FaultReport, ...]) -> LedgerReport | None:
    """With the losses seen from the fault that is nearest to them."""
    if report is None or report.losses is None:
        return report
    return replace(report, losses=beside_fault(report.losses, faults))


def _judged(summary: Summary, scenario: Scenario, *, interrupted: bool) -> Summary:
    expectations = tuple(judge(expectation, summary) for expectation in scenario.expectations)
    verdicts = [expectation.verdict for expectation in expectations]
    whys = [f"{one.metric} {one.text}" for one in expectations if one.verdict is Verdict.FAIL]
    if not summary.cluster_whole_again:
        verdicts.append(Verdict.FAIL)
        whys.append("the cluster did not become whole again")
    if summary.consistency.split_brain:
        verdicts.append(Verdict.FAIL)
        whys.append(f"split brain: {', '.join(one.node for one in summary.consistency.split_brain)} went on serving")
    if interrupted:
        verdicts.append(Verdict.UNKNOWN)
        whys.append("it was stopped early")
    for missing, why in without_workers(summary.workers, scenario.spread):
        verdicts.append(missing)
        whys.append(why)
    broken = [fault.name for fault in summary.faults if fault.error is not None]
    if broken:
        verdicts.append(Verdict.UNKNOWN)
        whys.append(f"trouble with {', '.join(broken)}")
    lost = [fault.name for fault in summary.faults if fault.lost_at_s is not None]
    if lost:
        verdicts.append(Verdict.UNKNOWN)
        whys.append(f"{', '.join(lost)} did not stay in place")
    verdict = worst(tuple(verdicts))
    if verdict is Verdict.UNKNOWN and not whys:
        whys = [f"{one.metric}: {one.why}" for one in expectations if one.verdict is Verdict.UNKNOWN]
    return replace(summary, expectations=expectations, verdict=verdict, why="; ".join(whys))


def counted(tallies: Iterable[Tally]) -> Counts:
    """The counts of several tallies together."""
    total: Counter[str] = Counter()
    for tally in tallies:
        total["attempted"] += tally.attempted
        total["ok"] += tally.ok
        total["in_flight"] += tally.in_flight
        for outcome, number in tally.ended.items():
            total[outcome.value] += number
    return Counts(**{name: total[name] for name in ("attempted", "ok", "failed", "unknown", "shed", "in_flight")})


def latency(tallies: Iterable[Tally]) -> Latency:
    """Response and service times of several tallies together, successes and all outcomes apart."""
    chosen = tuple(tallies)
    response, service = merged(t.response for t in chosen), merged(t.service for t in chosen)
    return Latency(
        response=percentiles(response),
        service=percentiles(service),
        response_all=percentiles(merged((response, *(t.response_bad for t in chosen)))),
        service_all=percentiles(merged((service, *(t.service_bad for t in chosen)))),
    )


def percentiles(histogram: Histogram) -> Percentiles:
    """The usual percentiles of a histogram."""
    total = histogram.total
    p50, p90, p99, p999 = histogram.percentiles_ms((50, 90, 99, 99.9))
    return Percentiles(
        count=total,
        mean=round(histogram.sum_us / total / 1000, 3) if total else None,
        p50=p50,
        p90=p90,
        p99=p99,
        p999=p999,
        max=histogram.max_us / 1000 if total else None,
    )


def operation_report(tally: Tally) -> OperationReport:
    """One kind of operation."""
    return OperationReport(
        workload=tally.workload,
        operation=tally.operation,
        op_class=tally.op_class.value,
        counts=counted([tally]),
        reasons={f"{outcome}/{reason}": number for (outcome, reason), number in tally.reasons.most_common()},
        latency_ms=latency([tally]),
    )


def _generator(recorder: Recorder, measured_ns: int) -> Generator:
    share = recorder.lag.suspect_ns / measured_ns if measured_ns else 0.0
    return Generator(
        lag_ms=percentiles(recorder.lag.histogram),
        suspect=share > SUSPECT_SHARE,
        suspect_share=round(share, 6),
        suspect_intervals=recorder.lag.suspects,
    )
