"""Expectations held against what has been measured so far, by the same rules as at the end.

Only what the recorder knows while the load runs can be judged: outages, latencies, counts, error windows. The
ledger is compared and phases are put together at the end; until then those are unknown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import chaosbench
from chaosbench.clock import to_s
from chaosbench.expectations import METRICS, judge, parse_expectation
from chaosbench.histogram import Histogram, merged
from chaosbench.model.report import (
    Counts,
    ErrorWindow,
    FaultReport,
    Generator,
    Latency,
    Load,
    Percentiles,
    Summary,
    Verdict,
)
from chaosbench.outage import WriteOutage
from chaosbench.outcome import OpClass, Outcome
from chaosbench.recorder.recorder import Recorder
from chaosbench.windows import Window

COUNTS = ("attempted", "ok", "failed", "unknown", "shed", "in_flight")
_OVERDUE = "not known before the end"


def standing(
    expectations: Sequence[Mapping[str, str]],
    recorder: Recorder,
    outages: Mapping[str, WriteOutage],
    response: Iterable[Histogram],
) -> list[dict[str, Any]]:
    """Each expectation with its figure and verdict so far.

    expectations:  metric and limit, as the scenario has them
    outages:       every fault's so far
    response:      the response times of acknowledged reads and writes so far
    """
    timing = any(METRICS[one["metric"]].needs_timing for one in expectations)
    summary = _summary(recorder, outages, merged(response) if timing else Histogram())
    rows = []
    for one in expectations:
        found = judge(parse_expectation(one["metric"], one["limit"]), summary)
        pending = found.value is None and found.verdict is Verdict.UNKNOWN
        rows.append(
            {
                "metric": found.metric,
                "limit": found.text,
                "value": found.value,
                "unit": found.unit,
                "verdict": found.verdict.value,
                "why": _OVERDUE if pending else found.why,
            }
        )
    return rows


def counts(recorder: Recorder) -> Counts:
    """All reads and writes so far."""
    total: Counter[str] = Counter()
    for tally in recorder.operations():
        total["attempted"] += tally.attempted
        total["ok"] += tally.ok
        total["in_flight"] += tally.in_flight
        for outcome, number in tally.ended.items():
            total[outcome.value] += number
    return Counts(**{name: total[name] for name in COUNTS})


def fault_so_far(name: str, outage: WriteOutage, recorder: Recorder) -> FaultReport:
    """A fault's outage as it stands. One whose writes are not back yet has neither recovered nor failed to."""
    now_ns = recorder.clock.now()
    t1_ns, t6_ns = outage.t1_ns, outage.t6_ns(now_ns)

    def since(at_ns: int | None) -> float | None:
        return None if at_ns is None else to_s(at_ns - recorder.started_ns)

    rto_s = 0.0 if t1_ns is None else to_s(t6_ns - outage.t0_ns) if t6_ns is not None else None
    return FaultReport(
        name=name,
        injector="",
        target="",
        member=None,
        planned_at_s=0.0,
        injecting_at_s=since(outage.t0_ns),
        injected_at_s=None,
        injected_at=None,
        healed_at_s=None,
        healed_at=None,
        recovered=True if rto_s is not None else None,
        rto_s=rto_s,
        t1_s=since(t1_ns),
        t6_s=since(t6_ns),
        write_gap_s=to_s(outage.longest_gap(now_ns).length_ns),
        leader_before=None,
        leader_after=None,
        error_windows=(),
    )


def _summary(recorder: Recorder, outages: Mapping[str, WriteOutage], times: Histogram) -> Summary:
    """As much of a summary as there is while the load runs."""
    seconds = max(to_s(recorder.clock.now() - recorder.started_ns), 0.001)
    so_far = counts(recorder)
    writes = any(tally.op_class is OpClass.WRITE for tally in recorder.operations())
    response = _percentiles(times)
    return Summary(
        chaosbench=chaosbench.__version__,
        scenario="",
        description="",
        seed=0,
        started_at="",
        started_monotonic_ns=recorder.started_ns,
        finished_at="",
        duration_s=seconds,
        verdict=Verdict.UNKNOWN,
        why="",
        expectations=(),
        load=Load(
            **{name: getattr(so_far, name) for name in COUNTS},
            offered_per_s=so_far.attempted / seconds,
            ok_per_s=so_far.ok / seconds,
        ),
        connects=Counts(**dict.fromkeys(COUNTS, 0)),
        latency_ms=Latency(response=response, service=response, response_all=response, service_all=response),
        operations=(),
        faults=tuple(fault_so_far(name, outage, recorder) for name, outage in outages.items()) if writes else (),
        error_windows=tuple(_windows(recorder.windows(), recorder.started_ns)),
        ledger=None,
        generator=Generator(lag_ms=response, suspect=False, suspect_share=0.0, suspect_intervals=0),
        warnings=(),
        cluster_whole_again=True,
    )


def _percentiles(histogram: Histogram) -> Percentiles:
    p50, p90, p99, p999 = histogram.percentiles_ms((50, 90, 99, 99.9))
    total = histogram.total
    return Percentiles(
        count=total,
        mean=histogram.sum_us / total / 1000 if total else None,
        p50=p50,
        p90=p90,
        p99=p99,
        p999=p999,
        max=histogram.max_us / 1000 if total else None,
    )


def _windows(windows: Iterable[Window], start_ns: int) -> Iterable[ErrorWindow]:
    for window in windows:
        yield ErrorWindow(
            op_class=window.op_class.value,
            fault=None,
            start_s=to_s(window.start_ns - start_ns),
            end_s=to_s(window.end_ns - start_ns),
            duration_s=to_s(window.duration_ns),
            longest_gap_s=None,
            failed=window.counts[Outcome.FAILED],
            unknown=window.counts[Outcome.UNKNOWN],
            shed=window.counts[Outcome.SHED],
        )
