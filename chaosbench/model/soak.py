"""What a long run says beside the rest of its summary. ``null`` means that there is no such value, never zero."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultFigures:
    """One figure over faults, in seconds.

    n, mean, worst:  of all of them
    median, p90:     of the newest 2,000
    worst_fault:     whose figure the worst is
    """

    n: int = 0
    mean: float | None = None
    median: float | None = None
    p90: float | None = None
    worst: float | None = None
    worst_fault: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRow:
    """All faults of one entry under ``faults`` with one injector.

    recovered:      writes failed and came back
    unnoticed:      no write failed
    not_recovered:  writes had not come back when the fault was over, or at the end
    trouble:        could not be injected or healed, or did not stay in place
    skipped:        left out
    lost_rows:      acknowledged ledger rows that are lost, whose acknowledgement is nearest to one of them
    """

    entry: str
    injector: str
    recovered: int
    unnoticed: int
    not_recovered: int
    trouble: int
    skipped: int
    lost_rows: int
    rto_s: FaultFigures
    write_gap_s: FaultFigures
    redundancy_s: FaultFigures


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One stretch of a soak, from chaosbench's start to its end.

    from_s, to_s:  of the measurement, which does not go on while chaosbench is not there
    gap_s:         how long nothing was measured before it; null for the first
    ended:         whether it came to an end of its own; false when chaosbench was killed
    """

    number: int
    from_s: float
    to_s: float
    started_at: str
    ended_at: str
    gap_s: float | None
    ended: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SettledReport:
    """Ledger rows that were compared with every node while the load ran, and replaced by checkpoints.

    upto:         ids up to this one
    rows:         how many of them stand in checkpoints
    gone:         checkpoints that a node did not have any more; their rows count as lost
    gone_rows:    how many rows those stood for
    unlogged:     rows found that chaosbench had sent just before it was killed: they count as unknown, and recovered
    """

    upto: int
    rows: int
    checkpoints: int
    gone: int
    gone_rows: int
    unlogged: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SoakReport:
    """What a soak's summary has of its own; its ``faults`` and ``error_windows`` are the newest and the worst only.

    fault_table:      all faults
    windows_dropped:  error windows, by class, that are in no list any more
    rollups:          reports of the time since the last, in ``rollups/``
    """

    segments: tuple[Segment, ...]
    fault_table: tuple[FaultRow, ...]
    windows_dropped: dict[str, int]
    settled: SettledReport | None
    rollups: int
