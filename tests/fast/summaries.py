"""Summaries for tests, each with everything in order unless told otherwise."""

from __future__ import annotations

from dataclasses import replace

from chaosbench.model.report import (
    Counts,
    ErrorWindow,
    FaultReport,
    Generator,
    Latency,
    LedgerReport,
    Load,
    Percentiles,
    Summary,
    Verdict,
)

MS = Percentiles(count=1000, mean=4.0, p50=3.0, p90=8.0, p99=20.0, p999=40.0, max=90.0)
NONE = Percentiles(count=0, mean=None, p50=None, p90=None, p99=None, p999=None, max=None)
FAULT = FaultReport(
    name="kill-leader",
    injector="kill",
    target="leader",
    member="pg1",
    planned_at_s=10.0,
    injecting_at_s=10.0,
    injected_at_s=10.3,
    injected_at="2026-01-01T00:00:10.300Z",
    healed_at_s=25.0,
    healed_at="2026-01-01T00:00:25.000Z",
    recovered=True,
    rto_s=20.0,
    t1_s=10.1,
    t6_s=30.0,
    write_gap_s=19.5,
    leader_before="pg1",
    leader_after="pg2",
    error_windows=(),
)
LEDGER = LedgerReport(
    run=1,
    attempted=10,
    acked=8,
    failed=1,
    unknown=1,
    checked=True,
    note="",
    lost=0,
    recovered=1,
    unexpected=0,
    lost_ids=(),
    unexpected_ids=(),
    nodes=(),
)


def window(op_class: str = "write", seconds: float = 4.0) -> ErrorWindow:
    return ErrorWindow(
        op_class=op_class,
        fault=None,
        start_s=1.0,
        end_s=1.0 + seconds,
        duration_s=seconds,
        longest_gap_s=None,
        failed=1,
        unknown=0,
        shed=0,
    )


def summary(**changes: object) -> Summary:
    plain = Summary(
        chaosbench="0",
        scenario="test",
        description="",
        seed=1,
        started_at="2026-01-01T00:00:00.000Z",
        started_monotonic_ns=0,
        finished_at="2026-01-01T00:01:00.000Z",
        duration_s=60.0,
        verdict=Verdict.UNKNOWN,
        why="",
        expectations=(),
        load=Load(
            attempted=1000, ok=900, failed=50, unknown=30, shed=20, in_flight=0, offered_per_s=100.0, ok_per_s=90.0
        ),
        connects=Counts(attempted=4, ok=4, failed=0, unknown=0, shed=0, in_flight=0),
        latency_ms=Latency(response=MS, service=MS, response_all=MS, service_all=MS),
        operations=(),
        faults=(),
        error_windows=(),
        ledger=None,
        generator=Generator(lag_ms=MS, suspect=False, suspect_share=0.0, suspect_intervals=0),
        warnings=(),
        cluster_whole_again=True,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]
