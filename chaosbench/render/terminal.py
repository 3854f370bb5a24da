"""The summary of a scenario on a terminal: verdict first, then what clients lived through."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from chaosbench.expectations import METRICS
from chaosbench.model.report import (
    ErrorWindow,
    ExpectationReport,
    FaultReport,
    LedgerReport,
    Percentiles,
    Summary,
    Verdict,
)
from chaosbench.render import phases
from chaosbench.render.consistency import consistency_lines
from chaosbench.render.soak import faults_shown, soak_lines, unlogged

_STYLE = {Verdict.PASS: "bold green", Verdict.FAIL: "bold red", Verdict.UNKNOWN: "bold yellow"}
_INDENT = " " * 4
_WORD = {Verdict.PASS: "PASS", Verdict.FAIL: "FAIL", Verdict.UNKNOWN: "UNKNOWN"}


def show(summary: Summary, console: Console) -> None:
    """Print a summary. Lines are left to the terminal to wrap, so that a file or a pipe gets them whole."""
    for part in _parts(summary):
        console.print(part, soft_wrap=isinstance(part, Text))


def _parts(summary: Summary) -> Iterator[RenderableType]:
    yield Text()
    yield _headline(summary)
    yield from (_expectation(expectation) for expectation in summary.expectations)
    yield _load(summary)
    yield _latency(summary)
    for fault in faults_shown(summary):
        yield from _fault(fault)
    yield from soak_lines(summary)
    untied = [window for window in summary.error_windows if window.fault is None]
    if untied:
        yield Text("  error windows that no fault explains", "yellow")
        yield _windows(untied)
    if summary.ledger is not None:
        yield _ledger(summary.ledger, unlogged(summary))
    yield from phases.cost(summary)
    yield from consistency_lines(summary)
    yield from (Text(f"  warning: {warning}", "yellow") for warning in summary.warnings)
    generator = summary.generator
    if generator.suspect:
        yield Text(
            f"  the load generator was late for {generator.suspect_share:.1%} of the time (p99 "
            f"{_ms(generator.lag_ms.p99)}): latencies are suspect",
            "yellow",
        )
    yield Text()


def _headline(summary: Summary) -> Text:
    line = Text.assemble((_WORD[summary.verdict], _STYLE[summary.verdict]), f"  {summary.scenario}")
    if summary.why:
        line.append(f": {summary.why}")
    return line


def _expectation(expectation: ExpectationReport) -> Text:
    value = "no value" if expectation.value is None else _quantity(expectation.value, expectation.unit)
    line = Text.assemble(
        "  ",
        (f"{_WORD[expectation.verdict]:<8}", _STYLE[expectation.verdict]),
        f"{expectation.metric} {expectation.text}: {value}",
    )
    if expectation.why:
        line.append(f" ({expectation.why})")
    line.append(f"  {METRICS[expectation.metric].meaning}", "dim")
    return line


def _quantity(value: float, unit: str) -> str:
    if unit == "share":
        return f"{value:.2%}"
    if unit == "count":
        return f"{value:,.0f}"
    return f"{value:,.2f} {unit}".replace(" /s", "/s")


def _load(summary: Summary) -> Text:
    load = summary.load
    return Text(
        f"  load     {load.attempted:,} attempted in {summary.duration_s:.1f} s ({load.offered_per_s:,.0f}/s): "
        f"{load.ok:,} ok ({load.ok_per_s:,.0f}/s), {load.failed:,} failed, {load.unknown:,} unknown, {load.shed:,} shed"
    )


def _latency(summary: Summary) -> Table:
    table = _table("latency (ms)", "p50", "p90", "p99", "p99.9", "max", "count")
    latency = summary.latency_ms
    for name, percentiles in (
        ("response, ok", latency.response),
        ("service, ok", latency.service),
        ("response, all", latency.response_all),
    ):
        table.add_row(_INDENT + name, *_percentiles(percentiles), f"{percentiles.count:,}")
    return table


def _percentiles(found: Percentiles) -> Iterator[str]:
    for value in (found.p50, found.p90, found.p99, found.p999, found.max):
        yield "-" if value is None else f"{value:,.1f}" if value < 100 else f"{value:,.0f}"


def _fault(fault: FaultReport) -> Iterator[RenderableType]:
    hit = f" ({fault.member})" if fault.member and fault.member != fault.target else ""
    line = Text.assemble("  fault    ", (f"{fault.injector} {fault.target}{hit}", "bold"))
    if fault.injecting_at_s is None:
        line.append(" was not injected")
    else:
        line.append(f" at {fault.injecting_at_s:.1f} s")
        line.append(f", healed at {fault.healed_at_s:.1f} s" if fault.healed_at_s is not None else ", not healed")
        line.append(f": {_rto(fault)}")
        if fault.leader_before != fault.leader_after:
            line.append(f"; leader {fault.leader_before} -> {fault.leader_after}")
    yield line
    if fault.error:
        yield Text(f"           {fault.error}", "red")
    if fault.phases is not None:
        yield from phases.lines(fault.phases)
    if fault.error_windows:
        yield _windows(fault.error_windows)


def _rto(fault: FaultReport) -> str:
    if fault.recovered is None:
        return "no writes to measure an RTO with"
    if fault.rto_s is None:
        return "writes did not come back"
    if fault.t1_s is None:
        return f"no write failed (longest gap {fault.write_gap_s:.2f} s)"
    return f"RTO {fault.rto_s:.2f} s, no write for {fault.write_gap_s:.2f} s"


def _windows(windows: tuple[ErrorWindow, ...] | list[ErrorWindow]) -> Table:
    table = _table("error window", "from s", "for s", "gap s", "failed", "unknown", "shed")
    for window in windows:
        table.add_row(
            _INDENT + window.op_class,
            f"{window.start_s:.2f}",
            f"{window.duration_s:.2f}",
            "-" if window.longest_gap_s is None else f"{window.longest_gap_s:.2f}",
            f"{window.failed:,}",
            f"{window.unknown:,}",
            f"{window.shed:,}",
        )
    return table


def _ledger(ledger: LedgerReport, unlogged: int) -> Text:
    recovered = None if ledger.recovered is None else ledger.recovered - unlogged

    def said(count: int | None) -> str:
        return "?" if count is None else f"{count:,}"

    line = Text.assemble(
        f"  ledger   {ledger.acked:,} rows acknowledged: ",
        (f"{said(ledger.lost)} lost{_named(ledger.lost_ids)}", "bold red" if ledger.lost else "bold"),
        f", {said(recovered)} of {ledger.unknown:,} unknown are there, {said(ledger.unexpected)} unexpected",
        f" (read on {', '.join(node.node for node in ledger.nodes) or 'no node'})",
    )
    if ledger.note:
        line.append(f"; {ledger.note}", "yellow")
    return line


def _named(ids: tuple[int, ...]) -> str:
    if not ids:
        return ""
    more = ", ..." if len(ids) > 5 else ""
    return f" (ids {', '.join(map(str, ids[:5]))}{more})"


def _table(title: str, *columns: str) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim", pad_edge=False)
    table.add_column(_INDENT + title, min_width=20, no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} ms"
