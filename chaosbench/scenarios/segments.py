"""The stretches of a soak between chaosbench's starts and its ends."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from chaosbench.clock import iso, to_s
from chaosbench.model.soak import Segment


class Segments:
    """Those before, and the one that begins now after ``elapsed_ns`` of the measurement.

    saved_at:  when the one before was last heard of; None for the first
    gap_s:     how long nothing was measured since
    """

    def __init__(self, earlier: tuple[Segment, ...], elapsed_ns: int, saved_at: str | None) -> None:
        now = datetime.now(UTC)
        self.gap_s: float | None = None
        if saved_at is not None:
            self.gap_s = round(max(0.0, (now - datetime.fromisoformat(saved_at)).total_seconds()), 3)
        self._earlier = earlier
        self._own = Segment(
            number=len(earlier) + 1,
            from_s=to_s(elapsed_ns),
            to_s=to_s(elapsed_ns),
            started_at=iso(now),
            ended_at=iso(now),
            gap_s=self.gap_s,
            ended=False,
        )

    @property
    def number(self) -> int:
        """Of the present one, from 1."""
        return self._own.number

    def until(self, elapsed_ns: int, *, ended: bool) -> tuple[Segment, ...]:
        """All of them; the present one up to there."""
        now = iso(datetime.now(UTC))
        return (*self._earlier, replace(self._own, to_s=to_s(elapsed_ns), ended_at=now, ended=ended))
