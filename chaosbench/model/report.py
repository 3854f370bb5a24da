"""The summary of one scenario: what ``summary.json`` holds. Its JSON Schema is made from these classes.

Times ending in ``_s`` are seconds; ``at`` times count from the start of the
measurement (after the warm-up), and ``*_at`` without ``_s`` are UTC dates.
``null`` means that there is no such value, never zero.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from chaosbench.model.consistency import Consistency, Losses
from chaosbench.model.containers import ContainerReport
from chaosbench.model.phases import ObserverReport, PhaseReport
from chaosbench.model.soak import SoakReport
from chaosbench.model.workers import WorkerReport

SCHEMA_VERSION = 1


class Verdict(StrEnum):
    """Three values; fail outweighs unknown, unknown outweighs pass."""

    PASS = "pass"  # noqa: S105 - a verdict, no password
    FAIL = "fail"
    UNKNOWN = "unknown"


def worst(verdicts: tuple[Verdict, ...]) -> Verdict:
    """The verdict of several; pass if there are none."""
    return next((verdict for verdict in (Verdict.FAIL, Verdict.UNKNOWN) if verdict in verdicts), Verdict.PASS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Percentiles:
    """Latencies in milliseconds; good to 1 % (the histogram's cells), ``max`` exact. Null when nothing was counted."""

    count: int
    mean: float | None
    p50: float | None
    p90: float | None
    p99: float | None
    p999: float | None
    max: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """``response`` counts from the intended start, ``service`` from sending; ``*_all`` include what did not end ok.

    A time-out is in ``*_all`` with the time waited: at least that long.
    """

    response: Percentiles
    service: Percentiles
    response_all: Percentiles
    service_all: Percentiles


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """attempted = ok + failed + unknown + shed + in_flight."""

    attempted: int
    ok: int
    failed: int
    unknown: int
    shed: int
    in_flight: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Load(Counts):
    """All reads and writes; rates per second over the measurement."""

    offered_per_s: float
    ok_per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationReport:
    """One kind of operation of one workload; ``reasons`` maps ``outcome/reason`` to a count."""

    workload: str
    operation: str
    op_class: str
    counts: Counts
    reasons: dict[str, int]
    latency_ms: Latency


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorWindow:
    """From the intended start of the first operation that did not end ok to the end of the last one."""

    op_class: str
    fault: str | None
    start_s: float
    end_s: float
    duration_s: float
    longest_gap_s: float | None
    failed: int
    unknown: int
    shed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultReport:
    """One fault and what the clients' writes lived through because of it.

    member:             the part that was hit (the target, resolved at injection); several as in ``pg1, pg2``
    injecting_at_s:     just before the fault was asked for: T0
    injected_at(_s):    when the request had returned; T0 lies between the two
    lost_at_s:          when it was found gone before its time, as after a restart of the member; null when it stayed
    t1_s, t6_s:         first write that failed; first write acknowledged again that was intended after it
    rto_s:              T6 - T0; 0 when no write failed; null when writes did not come back
    write_gap_s:        longest stretch without an acknowledged write since T0
    skipped:            why it was left out, where its schedule or the scenario allows for that
    error:              why the fault could not be injected or healed
    phases:             null when nothing was observed
    """

    name: str
    injector: str
    target: str
    member: str | None
    planned_at_s: float
    injecting_at_s: float | None
    injected_at_s: float | None
    injected_at: str | None
    healed_at_s: float | None
    healed_at: str | None
    recovered: bool | None
    rto_s: float | None
    t1_s: float | None
    t6_s: float | None
    write_gap_s: float | None
    leader_before: str | None
    leader_after: str | None
    error_windows: tuple[ErrorWindow, ...]
    lost_at_s: float | None = None
    skipped: str | None = None
    error: str | None = None
    phases: PhaseReport | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerNode:
    """What one node held when it was compared; ids are numbers of the client's own making, at most a thousand each."""

    node: str
    rows: int
    lost: int
    recovered: int
    unexpected: int
    lost_ids: tuple[int, ...] = ()
    recovered_ids: tuple[int, ...] = ()
    unexpected_ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerReport:
    """The ledger against every node. ``*_ids`` name at most the first thousand.

    checked:  false when no node could be read or some could not; ``note`` says why
    losses:   the lost rows as a stretch of time and of WAL; null when none is lost
    """

    run: int
    attempted: int
    acked: int
    failed: int
    unknown: int
    checked: bool
    note: str
    lost: int | None
    recovered: int | None
    unexpected: int | None
    lost_ids: tuple[int, ...]
    unexpected_ids: tuple[int, ...]
    nodes: tuple[LedgerNode, ...]
    unknown_ids: tuple[int, ...] = ()
    losses: Losses | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Generator:
    """How well the load generator itself kept time: lateness of its event loop."""

    lag_ms: Percentiles
    suspect: bool
    suspect_share: float
    suspect_intervals: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectationReport:
    """One expectation and the figure it was held against, in the metric's unit."""

    metric: str
    text: str
    operator: str
    limit: float
    value: float | None
    unit: str
    verdict: Verdict
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Everything that a scenario gave.

    started_monotonic_ns:  CLOCK_MONOTONIC when the measurement began: every ``_s`` stamp counts from there, so that
                           whatever else was recorded on this machine can be laid beside them
    observers_quick_s:     how long the observers looked often
    workers:               the processes that carried the load; empty when this one did
    """

    schema_version: int = SCHEMA_VERSION
    chaosbench: str
    scenario: str
    description: str
    seed: int
    started_at: str
    started_monotonic_ns: int
    finished_at: str
    duration_s: float
    verdict: Verdict
    why: str
    expectations: tuple[ExpectationReport, ...]
    load: Load
    connects: Counts
    latency_ms: Latency
    operations: tuple[OperationReport, ...]
    faults: tuple[FaultReport, ...]
    error_windows: tuple[ErrorWindow, ...]
    ledger: LedgerReport | None
    consistency: Consistency = field(default_factory=Consistency)
    generator: Generator
    warnings: tuple[str, ...]
    cluster_whole_again: bool
    environment: dict[str, str] = field(default_factory=dict)
    scenario_file: str = ""
    observers: tuple[ObserverReport, ...] = ()
    observers_quick_s: float = 0.0
    stopped_early: bool = False
    containers: tuple[ContainerReport, ...] = ()
    workers: tuple[WorkerReport, ...] = ()
    soak: SoakReport | None = None
