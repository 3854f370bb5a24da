"""What a soak has of its own, on a terminal: its segments, all faults by entry, what is settled."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from chaosbench.model.report import FaultReport, Summary
from chaosbench.model.soak import FaultRow, Segment, SettledReport

SHOWN = 20
"""Faults of a soak that are shown one by one, the newest; the table has all."""

_HEADS = ("faults", "unnoticed", "RTO p50", "p90", "worst")


def faults_shown(summary: Summary) -> tuple[FaultReport, ...]:
    """The faults that are shown one by one: of a soak the newest that were not left out."""
    if summary.soak is None:
        return summary.faults
    return tuple(fault for fault in summary.faults if fault.skipped is None)[-SHOWN:]


def unlogged(summary: Summary) -> int:
    """Recovered rows of which nobody knows whether they had been acknowledged before a kill."""
    return summary.soak.settled.unlogged if summary.soak is not None and summary.soak.settled is not None else 0


def soak_lines(summary: Summary) -> Iterator[RenderableType]:
    """Nothing for a scenario that is no soak."""
    soak = summary.soak
    if soak is None:
        return
    if len(soak.segments) > 1:
        yield from map(_segment, soak.segments)
    if soak.fault_table:
        yield fault_table(soak.fault_table)
    if soak.settled is not None:
        yield from _settled(soak.settled)


def _segment(segment: Segment) -> Text:
    gap = f", after {segment.gap_s:,.0f} s without chaosbench" if segment.gap_s is not None else ""
    end = "" if segment.ended else ", killed"
    return Text(f"  segment  {segment.number}: {segment.from_s:,.0f} s to {segment.to_s:,.0f} s{gap}{end}")


def fault_table(rows: tuple[FaultRow, ...]) -> Table:
    """All faults by entry and injector, in 80 columns."""
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column("    all faults", overflow="fold")
    for head in _HEADS:
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("", style="yellow")
    for row in rows:
        injected = row.recovered + row.unnoticed + row.not_recovered + row.trouble
        figures = (row.rto_s.median, row.rto_s.p90, row.rto_s.worst)
        name = row.entry if row.injector in row.entry else f"{row.entry}: {row.injector}"
        table.add_row(
            f"    {name}",
            f"{injected:,}",
            f"{row.unnoticed:,}",
            *("-" if value is None else f"{value:.2f}" for value in figures),
            _remarkable(row),
        )
    return table


def _remarkable(row: FaultRow) -> str:
    """What there is seldom; a column for each would be wider than a terminal."""
    counts = {
        "not recovered": row.not_recovered,
        "in trouble": row.trouble,
        "left out": row.skipped,
        "rows lost": row.lost_rows,
    }
    return ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)


def _settled(settled: SettledReport) -> Iterator[Text]:
    yield Text(
        f"  settled  {settled.rows:,} ledger rows in {settled.checkpoints:,} checkpoints, up to {settled.upto:,}"
    )
    if settled.gone:
        yield Text(f"  {settled.gone:,} checkpoints are gone, and {settled.gone_rows:,} rows with them", "bold red")
    if settled.unlogged:
        yield Text(f"  {settled.unlogged:,} rows sent just before chaosbench was killed: unknown, and there", "yellow")
