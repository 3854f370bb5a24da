"""Stale reads: registers that only grow, written through one connection and read through others. Pure.

A read is stale when it returns a value older than the newest that had been
acknowledged before the read was sent. Its age is how long, when it was sent,
the client had already known a newer value: the truth is at least as old.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, deque

from chaosbench.histogram import Histogram

KEPT = 20_000
"""Acknowledged values remembered of each register. What a read finds older than all of them is at least that old."""


class Register:
    """One register: every value is written once, each greater than those before it."""

    __slots__ = ("_done_ns", "_values", "value")

    def __init__(self) -> None:
        self.value = 0
        # Values that were the greatest acknowledged when they were; both lists ascend.
        self._values: deque[int] = deque(maxlen=KEPT)
        self._done_ns: deque[int] = deque(maxlen=KEPT)

    def next(self) -> int:
        """A value about to be written."""
        self.value += 1
        return self.value

    def acknowledged(self, value: int, done_ns: int) -> None:
        """It was written. Called in order of ``done_ns``."""
        if not self._values or value > self._values[-1]:
            self._values.append(value)
            self._done_ns.append(done_ns)

    def age_ns(self, value: int, sent_ns: int) -> int | None:
        """How long a newer value had been acknowledged when this read was sent; None when the read was not stale."""
        if not self._values or value >= self._values[-1]:
            return None
        known_ns = self._done_ns[bisect_right(self._values, value)]
        return sent_ns - known_ns if known_ns < sent_ns else None


class Registers:
    """The registers of one run and what its reads found.

    run:      the key that sets this run's rows apart from all others in the table
    reads, stale:  counted by the node that served the read
    ages:     of the stale ones
    """

    def __init__(self, run: int) -> None:
        self.run = run
        self._registers: dict[int, Register] = {}
        self.begin()

    def begin(self) -> None:
        """The measurement begins: count from here."""
        self.reads: Counter[str] = Counter()
        self.stale: Counter[str] = Counter()
        self.ages = Histogram()

    def register(self, number: int) -> Register:
        """The register of that number."""
        if number not in self._registers:
            self._registers[number] = Register()
        return self._registers[number]

    def read(self, number: int, value: int, sent_ns: int, node: str) -> None:
        """A read that was sent then returned this value (0: there was no row)."""
        self.reads[node] += 1
        age_ns = self.register(number).age_ns(value, sent_ns)
        if age_ns is not None:
            self.stale[node] += 1
            self.ages.record(age_ns // 1000)
