"""A roll-up: one stretch of a soak. What ``rollups/NNN.json`` holds. ``null`` means no such value, never zero."""

from __future__ import annotations

from dataclasses import dataclass

from chaosbench.model.report import (
    Counts,
    ErrorWindow,
    ExpectationReport,
    FaultReport,
    Latency,
    LedgerReport,
    OperationReport,
    Verdict,
)
from chaosbench.model.soak import FaultRow, SettledReport

ROLLUP_SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollup:
    """Figures of ``from_s`` to ``to_s`` of the measurement, but for those ``so far``.

    load, operations, latency_ms:  of operations that ended in the stretch; none of those is in flight
    faults:                        those that were over in it
    windows:                       those that began in it
    fault_table, ledger, settled, verdict, expectations:  of all the time so far; of the ledger, its settled rows
    """

    schema_version: int = ROLLUP_SCHEMA_VERSION
    number: int
    scenario: str
    seed: int
    from_s: float
    to_s: float
    from_at: str
    to_at: str
    load: Counts
    ok_per_s: float
    latency_ms: Latency
    operations: tuple[OperationReport, ...]
    faults: tuple[FaultReport, ...]
    windows: tuple[ErrorWindow, ...]
    fault_table: tuple[FaultRow, ...]
    ledger: LedgerReport | None
    settled: SettledReport | None
    verdict: Verdict
    why: str
    expectations: tuple[ExpectationReport, ...]
