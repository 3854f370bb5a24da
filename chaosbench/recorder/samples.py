"""One row an operation, kept until somebody takes them away: what ``chaosbench run --samples`` is made from."""

from __future__ import annotations

from collections import deque

from chaosbench.outcome import Outcome
from chaosbench.recorder.tally import Tally

Sample = tuple[Tally, Outcome, str, int, int | None, int, int | None, int, int, str | None]
"""What it was (its tally), outcome, reason ("" for ok), intended, sent, done, worker, attempts, ledger row, node.

Stamps are those of the run's clock, in nanoseconds. ``sent`` is that of the last
attempt, None if there was none. ``worker`` is None for what no worker ever had,
``row`` 0 without a ledger id. A plain tuple: a class would cost four times as much.
"""

KEPT = 200_000
"""Rows that wait at most (about 50 MB): many seconds of load, and they are taken away once a second."""


class Samples(deque[Sample]):
    """The rows in the order in which the operations ended; when it is full, the oldest go (see :attr:`full`)."""

    def __init__(self, kept: int = KEPT) -> None:
        super().__init__(maxlen=kept)

    def add(
        self,
        tally: Tally,
        outcome: Outcome,
        reason: str,
        times: tuple[int, int | None, int],
        worker: int | None,
        attempts: int = 1,
        row: int = 0,
        node: str | None = None,
    ) -> None:
        """Keep one operation; ``times`` are intended, sent and done."""
        self.append((tally, outcome, reason, *times, worker, attempts, row, node))

    @property
    def full(self) -> bool:
        """Whether rows may have been lost since they were last taken."""
        return len(self) == self.maxlen

    def take(self) -> list[Sample]:
        """All rows, which are then gone from here."""
        rows = list(self)
        self.clear()
        return rows
