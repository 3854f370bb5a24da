"""Losses, split brain and stale reads on a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from chaosbench.model.consistency import Losses, SplitBrain, StaleReadsReport
from chaosbench.model.report import Summary


def consistency_lines(summary: Summary) -> Iterator[Text]:
    """Nothing where nothing is wrong, or nobody looked."""
    if summary.ledger is not None and summary.ledger.losses is not None:
        yield Text(f"           {_losses(summary.ledger.losses)}", "red")
    yield from (Text(f"  split brain: {_split_brain(one)}", "bold red") for one in summary.consistency.split_brain)
    stale = summary.consistency.stale_reads
    if stale is not None:
        yield Text(f"  stale    {_stale(stale)}")


def _stale(found: StaleReadsReport) -> str:
    nodes = ", ".join(f"{one.node} {one.stale:,} of {one.reads:,}" for one in found.nodes)
    text = f"{found.stale:,} of {found.reads:,} reads ({found.share:.2%}; {nodes})"
    ages = found.age_ms
    if ages.p50 is None or ages.p99 is None or ages.max is None:
        return text
    return f"{text}: age p50 {ages.p50:.1f} ms, p99 {ages.p99:.1f} ms, max {ages.max:.1f} ms"


def _losses(found: Losses) -> str:
    text = f"acknowledged by {' and '.join(found.nodes) or 'nobody knows whom'} within {found.span_s:.3f} s"
    if found.wal_bytes is not None:
        least = "" if found.wal_from == "fork" else "at least "
        text += f" and {least}{found.wal_bytes:,} bytes of WAL"
    if found.first_after_t0_s is not None and found.last_after_t0_s is not None:
        text += f", from {found.first_after_t0_s:+.3f} s to {found.last_after_t0_s:+.3f} s of {found.fault}"
    return text


def _split_brain(one: SplitBrain) -> str:
    return (
        f"{one.node} (timeline {one.timeline}) acknowledged {one.rows:,} rows after {one.successor} (timeline "
        f"{one.successor_timeline}) had taken over at {one.since_s:.2f} s, the last at {one.last_s:.2f} s"
    )
