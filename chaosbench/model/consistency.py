"""What a run says of consistency: who served, whether two did at once, what was lost when, how old reads were.

Times ending in ``_s`` are seconds since the measurement began (negative: in the warm-up), unless they say otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A node on one timeline, and the ledger rows that it acknowledged. ``node`` is its address if it has no name."""

    node: str
    timeline: int
    rows: int
    first_s: float
    last_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitBrain:
    """``node`` acknowledged rows that were sent after ``successor`` had acknowledged one, at ``since_s``.

    rows:            how many such rows
    first_s, last_s: when the first and the last of them were acknowledged
    """

    node: str
    timeline: int
    successor: str
    successor_timeline: int
    since_s: float
    rows: int
    first_s: float
    last_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DoublePrimaryReport:
    """Two nodes that were out of recovery at once, at least from ``from_s`` to ``to_s``."""

    nodes: tuple[str, str]
    from_s: float
    to_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Losses:
    """The lost rows as a stretch of time and of WAL.

    first_s, last_s:  when the first and the last of them were acknowledged
    span_s:           last_s - first_s
    fault:            the fault whose T0 is nearest to the last of them; null without faults
    first_after_t0_s: the same two times, counted from that fault's T0 (negative: before it)
    nodes:            who had acknowledged them
    wal_bytes:        see ``wal_from``; null when no position is known. Exact to the commit record of the last row
    wal_from:         ``fork``: from where the next timeline left the one they were written on, to the last lost row;
                      ``first lost row``: the fork is not known, so from the first lost row to the last: at least this
    """

    first_s: float
    last_s: float
    span_s: float
    fault: str | None
    first_after_t0_s: float | None
    last_after_t0_s: float | None
    nodes: tuple[str, ...]
    wal_bytes: int | None
    wal_from: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ages:
    """Of the stale reads, in milliseconds; good to 1 %, ``max`` exact. Null when no read was stale."""

    p50: float | None
    p90: float | None
    p99: float | None
    max: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeReads:
    """The reads that one node served."""

    node: str
    reads: int
    stale: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StaleReadsReport:
    """Reads of the stale-reads workload; ``age_ms``: for how long a newer value had been acknowledged."""

    reads: int
    stale: int
    share: float
    age_ms: Ages
    nodes: tuple[NodeReads, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Consistency:
    """Who acknowledged ledger rows, what two nodes did at once, how old reads were (null when nobody looked)."""

    served: tuple[Served, ...] = ()
    split_brain: tuple[SplitBrain, ...] = ()
    double_primary: tuple[DoublePrimaryReport, ...] = ()
    stale_reads: StaleReadsReport | None = None
