"""How fine a file is that grows with time: by the second in a run of an hour, and in a longer one where it matters.

In the first hour there is a line a second. After it there is one a minute, and
by the second again from a fault's injection, or the beginning of errors, until
10 s after both are over: 3,600 such lines at once and as many more a day, beyond
that one every 10 s. What is merged is merged exactly: counts add up, so a line of a minute says
what its sixty would have said together, and only when within it is lost.
"""

from __future__ import annotations

from chaosbench.clock import NS
from chaosbench.events import Event, Kind

FINE_NS = 3600 * NS
"""From the beginning of the measurement: a line a second."""
AFTER_NS = 10 * NS
"""So long after the last fault and the last error it is still fine."""
QUIET_NS, SPARED_NS = 60 * NS, 10 * NS
"""Between two lines when nothing happens; and when something does, but the day's hour is used up."""
ALLOWANCE_NS = 3600 * NS
"""Lines by the second after the first hour, as time: so many are saved up, and so many come back in a day."""
DAY_NS = 86_400 * NS
_SLACK_NS = NS // 4
"""Ticks come about once a second; one that is a little early still counts."""
_OVER = frozenset({Kind.FAULT_HEALED, Kind.FAULT_FAILED, Kind.HEAL_FAILED})


class Grain:
    """Says at each tick whether a line is due. Fed events and stamps; reads no clock."""

    def __init__(self) -> None:
        self._happening: set[str] = set()
        self._stirred_ns: int | None = None
        self._last_ns: int | None = None
        self._left_ns = float(ALLOWANCE_NS)

    def event(self, event: Event) -> None:
        """Take an event in."""
        data = event.data
        match event.kind:
            case Kind.FAULT_INJECTING:
                self._happening.add(f"fault {data['fault']}")
            case Kind.WINDOW_OPENED:
                self._happening.add(f"errors {data['class']}")
            case Kind.WINDOW_CLOSED:
                self._happening.discard(f"errors {data['class']}")
            case kind if kind in _OVER:
                self._happening.discard(f"fault {data['fault']}")
            case _:
                return
        self._stirred_ns = event.at_ns

    def coarse(self, now_ns: int, started_ns: int) -> bool:
        """Whether lines are far apart now: then one is due before a fault, so that none reaches into it."""
        return now_ns - started_ns >= FINE_NS

    def due(self, now_ns: int, started_ns: int) -> bool:
        """Whether a line is to be written now; it is then taken as written."""
        before_ns = self._last_ns if self._last_ns is not None else started_ns
        if not self.coarse(now_ns, started_ns):
            self._last_ns = now_ns
            return True
        waited_ns = now_ns - before_ns
        self._left_ns = min(ALLOWANCE_NS, self._left_ns + self._refill(waited_ns))
        step_ns = self._step(now_ns)
        if waited_ns + _SLACK_NS < step_ns:
            self._left_ns -= self._refill(waited_ns)
            return False
        if step_ns == 0:
            self._left_ns -= NS
        self._last_ns = now_ns
        return True

    @staticmethod
    def _refill(waited_ns: int) -> float:
        return waited_ns * ALLOWANCE_NS / DAY_NS

    def _step(self, now_ns: int) -> int:
        if not self._stirring(now_ns):
            return QUIET_NS
        return 0 if self._left_ns >= NS else SPARED_NS

    def _stirring(self, now_ns: int) -> bool:
        if self._happening:
            return True
        return self._stirred_ns is not None and now_ns - self._stirred_ns < AFTER_NS
