"""Numbers and results in words, the same in every form of the report."""

from __future__ import annotations

from collections.abc import Iterator

from chaosbench.expectations import METRICS
from chaosbench.model.report import ErrorWindow, ExpectationReport, FaultReport, LedgerReport, OperationReport, Summary
from chaosbench.model.trials import MetricSpread, TrialsReport

NONE = "-"

DEFINITIONS = (
    ("Response time", "from the intended start of an operation to its end: what a client feels, waiting included."),
    ("Service time", "from sending to the end. The difference is the wait for a free connection."),
    ("Outcomes", "ok: acknowledged. failed: certainly without effect. unknown: may have had an effect. "
     "shed: never sent, because too much was waiting or its deadline had passed."),
    ("Error window", "from the intended start of the first operation that did not end ok to the end of the last one, "
     "before a quiet stretch."),
    ("T0 to T7", "T0 fault injected, T1 first write that failed, T2 leader key gone from the DCS, T3 new leader key, "
     "T4 a node left recovery on a new timeline, T5 Pgpool routes writes to it, T6 first acknowledged write intended "
     "after T1, T7 every node streams and every backend is up."),
    ("Phases", "detection T0 to T2, election T2 to T3, promotion T3 to T4, proxy T4 to T5, client T5 to T6. "
     "A phase that does not exist has no length; none is made up."),
    ("RTO", "T6 - T0; with several faults the longest counts."),
    ("RPO", "acknowledged rows of the ledger that are missing on any node that could be read."),
    ("Percentiles", "good to 1 %; in 'every outcome' a time-out counts with the time waited: at least so long."),
    ("Verdict", "fail outweighs unknown, unknown outweighs pass."),
)  # fmt: skip
"""The footnote: short, because docs/definitions.md has all of it."""


def quantity(value: float | None, unit: str) -> str:
    """A figure with its unit and about three digits; a dash when there is none."""
    if value is None:
        return NONE
    if unit == "share":
        return f"{value:.2%}".replace("%", " %")
    if unit == "count":
        return f"{value:,.0f}"
    digits = 0 if abs(value) >= 1000 else 1 if abs(value) >= 100 else 2
    return f"{value:,.{digits}f} {unit}".replace(" /s", "/s")


def limit(expectation: ExpectationReport) -> str:
    """What was expected, as ``rto <= 30s``."""
    return f"{expectation.metric} {expectation.text}"


def meaning(metric: str) -> str:
    """What a metric means; of one that this version does not know, nothing."""
    return METRICS[metric].meaning if metric in METRICS else ""


def rto(fault: FaultReport) -> str:
    """A fault's RTO, or why it has none."""
    if fault.injecting_at_s is None:
        return "not injected"
    if fault.recovered is None:
        return "no writes to measure with"
    if fault.rto_s is None:
        return "writes did not come back"
    return "no write failed" if fault.t1_s is None else quantity(fault.rto_s, "s")


def fault_sentence(fault: FaultReport) -> str:
    """What happened, as one would tell it."""
    hit = f" ({fault.member})" if fault.member and fault.member != fault.target else ""
    if fault.injecting_at_s is None:
        return f"{fault.injector} {fault.target}: not injected. {fault.error or ''}".rstrip()
    said = f"{fault.injector} {fault.target}{hit} at {fault.injecting_at_s:.1f} s"
    said += f", healed at {fault.healed_at_s:.1f} s" if fault.healed_at_s is not None else ", not healed"
    if fault.leader_before != fault.leader_after:
        said += f"; the leader went from {fault.leader_before} to {fault.leader_after or 'nobody'}"
    return said + "."


def headline(summary: Summary) -> str:
    """The one sentence that a reader takes away."""
    worst = max((fault for fault in summary.faults if fault.rto_s), key=lambda f: f.rto_s or 0.0, default=None)
    if any(fault.recovered is False for fault in summary.faults):
        first = "Writes did not come back."
    elif worst is not None:
        first = f"Clients could not write for {quantity(worst.write_gap_s, 's')}; the RTO is {rto(worst)}."
    elif summary.faults:
        first = "No write failed."
    else:
        first = "No fault was injected."
    return f"{first} {_rows(summary.ledger)}".rstrip()


def _rows(ledger: LedgerReport | None) -> str:
    if ledger is None:
        return ""
    if ledger.lost is None or (not ledger.checked and not ledger.lost):
        return f"Whether rows were lost is not known: {ledger.note}."
    return f"Of {ledger.acked:,} acknowledged rows {f'{ledger.lost:,} were' if ledger.lost != 1 else 'one was'} lost."


def key_figures(summary: Summary) -> Iterator[tuple[str, str, str]]:
    """Name, value and meaning of what is looked at first."""
    for metric in ("rto", "write_gap", "rpo", "ok_rate", "p99", "redundancy"):
        reading = METRICS[metric].read(summary)
        if reading.value is not None or reading.failed:
            yield metric.replace("_", " "), quantity(reading.value, METRICS[metric].unit), METRICS[metric].meaning


def window_cells(window: ErrorWindow) -> tuple[str, ...]:
    """An error window as the cells of a table."""
    return (
        window.op_class,
        window.fault or "no fault explains it",
        quantity(window.start_s, "s"),
        quantity(window.duration_s, "s"),
        quantity(window.longest_gap_s, "s"),
        *(f"{count:,}" for count in (window.failed, window.unknown, window.shed)),
    )


def trials_headline(report: TrialsReport) -> str:
    """The one sentence of a series."""
    done = sum(trial.state.value == "done" for trial in report.trials)
    found = next((one for one in report.metrics if one.metric == "rto" and one.fault is None), None)
    first = f"{done} of {len(report.trials)} trials are done."
    if found is None or found.spread.median is None:
        return first
    some = found.spread
    return (
        f"{first} Median RTO {quantity(some.median, 's')}, from {quantity(some.min, 's')} to {quantity(some.max, 's')}."
    )


def operation(report: OperationReport) -> str:
    """An operation's name; one that is called like its workload is named once."""
    same = report.workload == report.operation
    return report.workload if same else f"{report.workload} {report.operation}"


def trial_rto(summary: Summary) -> str:
    """The RTO of every fault of a trial."""
    return ", ".join(rto(fault) for fault in summary.faults) or NONE


def by_fault(report: TrialsReport) -> list[tuple[str, list[MetricSpread]]]:
    """The figures of the whole scenario under an empty name, then those of each fault."""
    names = dict.fromkeys(one.fault or "" for one in report.metrics)
    return [(name, [one for one in report.metrics if (one.fault or "") == name]) for name in names]
