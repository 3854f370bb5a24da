"""Expectations: the figures that can be limited, how a limit is written, what the verdict is. Pure.

A new metric is one line in ``METRICS``. Each reads one figure from the summary;
a reader that returns None says that the figure does not exist, and why.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chaosbench.model.scenario import Expectation
from chaosbench.outcome import OpClass
from chaosbench.units import parse_duration, parse_rate, parse_ratio

if TYPE_CHECKING:
    from chaosbench.model.consistency import StaleReadsReport
    from chaosbench.model.report import ExpectationReport, FaultReport, LedgerReport, Percentiles, Summary


@dataclass(frozen=True, slots=True)
class Reading:
    """A figure; or why there is none, and whether that is itself a failure (a cluster that never came back)."""

    value: float | None
    why: str = ""
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure that can be limited. ``needs_timing``: worth nothing when the generator was suspect."""

    unit: str
    meaning: str
    read: Callable[[Summary], Reading]
    needs_timing: bool = False
    higher_is_better: bool = False


def _parse_count(value: object) -> float:
    text = str(value).strip()
    if not re.fullmatch(r"\d+", text):
        raise ValueError(f"{value!r} is not a count: write a whole number")
    return float(text)


_PARSERS: dict[str, Callable[[object], float]] = {
    "s": parse_duration,
    "ms": lambda value: parse_duration(value) * 1000,
    "share": parse_ratio,
    "/s": parse_rate,
    "count": _parse_count,
}
_EXAMPLES = {"s": "<= 30s", "ms": "<= 50ms", "share": "<= 5%", "/s": ">= 900/s", "count": "<= 10"}
_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
}
_LIMIT = re.compile(r"(<=|>=|==|<|>)\s*(.+)")


def _write_gap(summary: Summary) -> Reading:
    return _over_faults(summary, lambda fault: fault.write_gap_s)


def _over_faults(summary: Summary, read: Callable[[FaultReport], float | None]) -> Reading:
    faults = [fault for fault in summary.faults if fault.skipped is None]
    if not faults:
        return Reading(None, "no fault was injected")
    for fault in faults:
        if fault.recovered is False:
            return Reading(None, f"writes did not come back after {fault.name}", failed=True)
    for fault in faults:
        if fault.injecting_at_s is None:
            return Reading(None, f"{fault.name} was not injected: {fault.error}")
    values = [(read(fault), fault.name) for fault in faults]
    known = [(value, name) for value, name in values if value is not None]
    if len(known) < len(values):
        return Reading(None, "there were no writes to measure it with")
    value, name = max(known)
    return Reading(value, name if len(known) > 1 else "")


def _phase(name: str) -> Callable[[Summary], Reading]:
    """A phase that no fault had is no value; one that did not end fails."""

    def reading(summary: Summary) -> Reading:
        reports = [fault.phases for fault in summary.faults if fault.phases is not None]
        if not reports:
            return Reading(None, "no fault was observed")
        hanging = next((report for report in reports if report.hangs_at == name), None)
        if hanging is not None:
            return Reading(None, hanging.why, failed=True)
        lengths = [seconds for seconds in (getattr(report, f"{name}_s") for report in reports) if seconds is not None]
        if not lengths:
            paths = ", ".join(sorted({report.path for report in reports}))
            return Reading(None, f"no fault had this phase (path: {paths})")
        return Reading(max(lengths))

    return reading


def _ledger(read: Callable[[LedgerReport], int | None]) -> Callable[[Summary], Reading]:
    def reading(summary: Summary) -> Reading:
        if summary.ledger is None:
            return Reading(None, "no stream runs the ledger workload")
        value = read(summary.ledger)
        if value is None or (not summary.ledger.checked and value == 0):
            return Reading(None, summary.ledger.note)
        return Reading(float(value))

    return reading


def _split_brain(summary: Summary) -> Reading:
    if summary.ledger is None:
        return Reading(None, "no stream runs the ledger workload")
    return Reading(len(summary.consistency.split_brain))


def _stale(read: Callable[[StaleReadsReport], float | None]) -> Callable[[Summary], Reading]:
    """Reads of which none was stale are of age 0."""

    def reading(summary: Summary) -> Reading:
        found = summary.consistency.stale_reads
        if found is None:
            return Reading(None, "no stream runs the stale-reads workload, or it read nothing")
        return Reading(read(found) or 0.0)

    return reading


def _percentile(read: Callable[[Percentiles], float | None]) -> Callable[[Summary], Reading]:
    def reading(summary: Summary) -> Reading:
        value = read(summary.latency_ms.response)
        return Reading(value, "" if value is not None else "no operation was acknowledged")

    return reading


def _share(read: Callable[[Summary], int]) -> Callable[[Summary], Reading]:
    def reading(summary: Summary) -> Reading:
        if not summary.load.attempted:
            return Reading(None, "no operation was attempted")
        return Reading(read(summary) / summary.load.attempted)

    return reading


def _window(op_class: OpClass) -> Callable[[Summary], Reading]:
    def reading(summary: Summary) -> Reading:
        lengths = [window.duration_s for window in summary.error_windows if window.op_class == op_class]
        return Reading(max(lengths, default=0.0))

    return reading


METRICS: dict[str, Metric] = {
    "rto": Metric(
        "s", "longest RTO of the scenario's faults (T6 - T0)", lambda s: _over_faults(s, lambda one: one.rto_s)
    ),
    "write_gap": Metric("s", "longest stretch without an acknowledged write after a fault", _write_gap),
    "detection": Metric("s", "longest time until the leader key was gone (T2 - T0)", _phase("detection")),
    "election": Metric("s", "longest time until there was a new leader key (T3 - T2)", _phase("election")),
    "promotion": Metric("s", "longest time until the new leader left recovery (T4 - T3)", _phase("promotion")),
    "proxy": Metric("s", "longest time until Pgpool wrote to the new leader (T5 - T4)", _phase("proxy")),
    "client": Metric("s", "longest time until a client's write came through (T6 - T5)", _phase("client")),
    "redundancy": Metric("s", "longest time until redundancy was back (T7 - T0)", _phase("redundancy")),
    "degraded_tail": Metric(
        "s",
        "longest time from T6 until p99 was within twice the steady state's",
        _phase("degraded_tail"),
    ),
    "rpo": Metric("count", "acknowledged ledger rows that are lost", _ledger(lambda ledger: ledger.lost)),
    "unexpected": Metric(
        "count", "ledger rows that are there and should not be", _ledger(lambda ledger: ledger.unexpected)
    ),
    "split_brain": Metric(
        "count",
        "nodes that went on acknowledging after another had taken over",
        _split_brain,
    ),
    "double_primary": Metric(
        "count",
        "times that two nodes were out of recovery at once",
        lambda summary: Reading(len(summary.consistency.double_primary)),
    ),
    "stale_rate": Metric("share", "share of the reads that were stale", _stale(lambda found: found.share)),
    "stale_p99": Metric("ms", "99th percentile of the age of stale reads", _stale(lambda found: found.age_ms.p99)),
    "stale_max": Metric("ms", "age of the stalest read", _stale(lambda found: found.age_ms.max)),
    "p50": Metric("ms", "median response time of acknowledged operations", _percentile(lambda p: p.p50), True),
    "p90": Metric("ms", "90th percentile of the response time", _percentile(lambda p: p.p90), True),
    "p99": Metric("ms", "99th percentile of the response time", _percentile(lambda p: p.p99), True),
    "p999": Metric("ms", "99.9th percentile of the response time", _percentile(lambda p: p.p999), True),
    "max": Metric("ms", "longest response time of an acknowledged operation", _percentile(lambda p: p.max), True),
    "error_rate": Metric(
        "share",
        "share of the operations that ended failed or unknown",
        _share(lambda s: s.load.failed + s.load.unknown),
    ),
    "unknown_rate": Metric("share", "share that ended unknown", _share(lambda s: s.load.unknown)),
    "shed_rate": Metric("share", "share that was shed", _share(lambda s: s.load.shed)),
    "ok_rate": Metric("share", "share that was acknowledged", _share(lambda s: s.load.ok), higher_is_better=True),
    "throughput": Metric(
        "/s", "acknowledged operations a second", lambda s: Reading(s.load.ok_per_s), higher_is_better=True
    ),
    "read_window": Metric("s", "longest error window of the reads", _window(OpClass.READ)),
    "write_window": Metric("s", "longest error window of the writes", _window(OpClass.WRITE)),
    "connect_window": Metric("s", "longest error window of the connects", _window(OpClass.CONNECT)),
}


def parse_expectation(metric: str, limit: object) -> Expectation:
    """``rto: "<= 30s"``; a bare 0 means ``== 0``. Raises ValueError that says what to write."""
    unit = METRICS[metric].unit
    if limit == 0 and not isinstance(limit, bool):
        return Expectation(metric=metric, operator="==", limit=0.0, text="== 0")
    match = _LIMIT.fullmatch(str(limit).strip())
    if match is None:
        raise ValueError(f"{limit!r} is not a limit: write a comparison, as in '{_EXAMPLES[unit]}'")
    value = 0.0 if match[2].strip() == "0" else _PARSERS[unit](match[2])
    return Expectation(
        metric=metric,
        operator=match[1],  # type: ignore[arg-type]  # the pattern admits only these
        limit=value,
        text=f"{match[1]} {match[2].strip()}",
    )


def judge(expectation: Expectation, summary: Summary) -> ExpectationReport:
    """Hold one expectation against the summary."""
    from chaosbench.model.report import ExpectationReport, Verdict  # late: `check` judges nothing, and waits for 25 ms

    metric = METRICS[expectation.metric]
    reading = metric.read(summary)
    verdict, why = Verdict.UNKNOWN, reading.why
    if reading.failed:
        verdict = Verdict.FAIL
    elif reading.value is not None and metric.needs_timing and summary.generator.suspect:
        why = "the load generator itself was late for too much of the time"
    elif reading.value is not None:
        met = _OPERATORS[expectation.operator](reading.value, expectation.limit)
        verdict = Verdict.PASS if met else Verdict.FAIL
    return ExpectationReport(
        metric=expectation.metric,
        text=expectation.text,
        operator=expectation.operator,
        limit=expectation.limit,
        value=reading.value,
        unit=metric.unit,
        verdict=verdict,
        why=why,
    )
