"""T1 and T6 of a fault: when its clients first failed, and when a write was acknowledged again.

T1 is the start of the first write that did not end ok (never before T0).
T6 is when the first write *intended after T1* was acknowledged. Operations
already under way at T1 may still be acknowledged while the cluster is dying,
and so may a lucky one on another connection; such an acknowledgement is not a
recovery. So T6 is looked for after the longest stretch without any
acknowledgement that begins no earlier than T0, and is the first acknowledgement
there that the rule above admits. Pure: it is fed stamps in order of done.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from dataclasses import dataclass

_KEPT = 50_000
"""Acknowledgements remembered at least: 10 s at 5,000/s, so that a write which hung that long may still move T1 back;
and twice as many at most, 16 bytes each."""


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch without an acknowledged write."""

    from_ns: int
    to_ns: int

    @property
    def length_ns(self) -> int:
        """How long no write was acknowledged."""
        return self.to_ns - self.from_ns


class WriteOutage:
    """Watches the writes from one fault's T0 on."""

    __slots__ = ("_done_ns", "_gap", "_intended_ns", "_last_ack_ns", "_sealed", "_t1_ns", "t0_ns")

    def __init__(self, t0_ns: int) -> None:
        self.t0_ns = t0_ns
        self._t1_ns: int | None = None
        self._last_ack_ns = t0_ns
        self._gap = Gap(t0_ns, t0_ns)
        self._intended_ns = array("q")
        self._done_ns = array("q")
        self._sealed: tuple[int | None, Gap] | None = None

    def ack(self, intended_ns: int, done_ns: int) -> None:
        """An acknowledged write. Called in order of ``done_ns``."""
        if done_ns < self.t0_ns:
            return
        if done_ns - self._last_ack_ns > self._gap.length_ns:
            self._gap = Gap(self._last_ack_ns, done_ns)
            self._forget(len(self._done_ns))
        self._last_ack_ns = done_ns
        if self._worth_keeping(intended_ns):
            self._intended_ns.append(intended_ns)
            self._done_ns.append(done_ns)
            if len(self._done_ns) > 2 * _KEPT:
                self._forget(_KEPT)

    def _worth_keeping(self, intended_ns: int) -> bool:
        """Whether an acknowledgement could still turn out to be the first that T6's rule admits.

        One that is intended before a remembered one, and done after it, never is; nor is any after one that is
        admitted now, for T1 moves back only. Before T1 is known the newest are kept: a write that hung may put it
        into the past.
        """
        if not self._intended_ns:
            return True
        newest_ns = self._intended_ns[-1]
        return intended_ns > newest_ns and (self._t1_ns is None or newest_ns < self._t1_ns)

    def _forget(self, oldest: int) -> None:
        del self._intended_ns[:oldest], self._done_ns[:oldest]

    def bad(self, intended_ns: int, done_ns: int) -> None:
        """A write that did not end ok."""
        if done_ns < self.t0_ns:
            return
        start = max(self.t0_ns, intended_ns)
        if self._t1_ns is None or start < self._t1_ns:
            self._t1_ns = start

    def seal(self, now_ns: int) -> None:
        """Nothing more is told of it: what it found stays as it is now, and what it remembers for that is let go."""
        self._sealed = self.t6_ns(now_ns), self.longest_gap(now_ns)
        self._forget(len(self._done_ns))

    @property
    def t1_ns(self) -> int | None:
        """When the first write that failed was meant to start; None when none failed."""
        return self._t1_ns

    @property
    def last_ack_ns(self) -> int:
        """When the last write was acknowledged (T0 if none was)."""
        return self._last_ack_ns

    def t6_ns(self, now_ns: int) -> int | None:
        """When writes were acknowledged again; None when no write failed or none came back yet.

        now_ns:  the present while the load runs; afterwards the end of the load, or silence counts as outage
        """
        if self._sealed is not None:
            return self._sealed[0]
        if self._t1_ns is None:
            return None
        if now_ns - self._last_ack_ns > self._gap.length_ns:
            return None  # the longest gap is the one that is still open
        first = bisect_left(self._intended_ns, self._t1_ns)
        return self._done_ns[first] if first < len(self._done_ns) else None

    def longest_gap(self, now_ns: int) -> Gap:
        """The longest stretch without an acknowledged write since T0, the open one included."""
        if self._sealed is not None:
            return self._sealed[1]
        still_open = Gap(self._last_ack_ns, now_ns)
        return max(self._gap, still_open, key=lambda gap: gap.length_ns)
