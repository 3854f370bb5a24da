"""Error windows: from the first operation that did not end ok to the last, per traffic class.

A window opens at the *intended* start of the first operation that did not end
ok, and closes at the *done* time of the last one, once ``quiet`` has passed
during which at most ``threshold`` of the operations ended badly. An operation
that hung is known to be bad only when it gives up: if it was already meant to
run before the quiet period was over, that period was not quiet, and the window
goes on (windows of one class never overlap). Pure: it is fed stamps and reads
no clock.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field

from chaosbench.outcome import OpClass, Outcome

KEPT = 1000
"""Windows of one class that are kept; of the others there are sums. The longest is always among those kept."""
_GAPS_KEPT = 1000
"""Stretches without success remembered for windows that open later and reach back."""


@dataclass(slots=True)
class Window:
    """One error window, stamps in nanoseconds.

    ``seen_ns`` is when the first bad operation was known to be bad: what ties a
    window to a fault. ``longest_gap`` is the longest stretch between two
    successes that touches the window, as ``(from, to)``; an open end is the
    end of the window. ``counts`` are the operations that did not end ok.
    ``closed_ns`` is when it was declared over; None while it is open. ``fault`` is
    who opened it, once that is known for good.
    """

    op_class: OpClass
    start_ns: int
    end_ns: int
    seen_ns: int
    counts: Counter[Outcome] = field(default_factory=Counter)
    longest_gap: tuple[int, int] | None = None
    closed_ns: int | None = None
    fault: str | None = None

    @property
    def closed(self) -> bool:
        """Whether the quiet period has passed."""
        return self.closed_ns is not None

    @property
    def duration_ns(self) -> int:
        """From opening to the last bad operation."""
        return self.end_ns - self.start_ns

    def weigh(self, gap: tuple[int, int]) -> None:
        """Keep a stretch without success if it touches this window and is its longest."""
        touches = gap[0] <= self.end_ns and gap[1] >= self.start_ns
        if touches and (self.longest_gap is None or gap[1] - gap[0] > self.longest_gap[1] - self.longest_gap[0]):
            self.longest_gap = gap


class WindowFolder:
    """Folds one class's outcomes into windows as they become known.

    ``bad`` is called for every operation that did not end ok (``lapse`` right
    before it); ``gap`` for every stretch without success longer than a small
    limit; ``advance`` now and then (it closes windows). Operations may come in
    any order of intended start but come in order of done.
    """

    def __init__(self, op_class: OpClass, quiet_ns: int, threshold: float = 0.0) -> None:
        self._class = op_class
        self._quiet_ns = quiet_ns
        self._threshold = threshold
        self._bad: deque[int] = deque()
        self._progress: deque[tuple[int, int]] = deque()
        self._gaps: deque[tuple[int, int]] = deque(maxlen=_GAPS_KEPT)
        self.windows: list[Window] = []
        self.dropped = 0
        self.dropped_ns = 0

    @property
    def open(self) -> Window | None:
        """The window that is open now."""
        return self.windows[-1] if self.windows and not self.windows[-1].closed else None

    def lapse(self, intended_ns: int) -> Window | None:
        """Close the open window if its quiet period was over by ``intended_ns``; returns it if so."""
        window = self.open
        if window is None or intended_ns < self._reach_ns(window):
            return None
        window.closed_ns = window.end_ns + self._quiet_ns
        return window

    def bad(self, intended_ns: int, done_ns: int, outcome: Outcome) -> Window | None:
        """Fold in one operation that did not end ok; returns the window if this one opened or reopened it."""
        self.lapse(intended_ns)
        was_open = self.open
        if not self.windows or intended_ns >= self._reach_ns(self.windows[-1]):
            self._drop_oldest()
            self.windows.append(Window(self._class, intended_ns, done_ns, done_ns))
        self._join(intended_ns)
        window = self.windows[-1]
        reaches_back = window is not was_open or intended_ns < window.start_ns
        weighed_ns = window.end_ns
        window.closed_ns = None
        window.start_ns = min(window.start_ns, intended_ns)
        window.end_ns = max(window.end_ns, done_ns)
        window.counts[outcome] += 1
        self._weigh_gaps(window, window.start_ns if reaches_back else weighed_ns)
        self._bad.append(done_ns)
        return None if was_open else window

    def take(self, window: Window) -> None:
        """One that another folder made."""
        self._drop_oldest()
        self.windows.append(window)

    def _drop_oldest(self) -> None:
        """Make room for one more. ``dropped`` counts, ``dropped_ns`` adds up their lengths."""
        if len(self.windows) < KEPT:
            return
        first, second = self.windows[:2]
        shorter = first if first.duration_ns <= second.duration_ns else second
        self.windows.remove(shorter)
        self.dropped += 1
        self.dropped_ns += shorter.duration_ns

    def _reach_ns(self, window: Window) -> int:
        """An operation meant to start before this belongs to the window, or to one that follows it at once."""
        quiet_over_ns = window.end_ns + self._quiet_ns
        return quiet_over_ns if window.closed_ns is None else min(quiet_over_ns, window.closed_ns)

    def _join(self, intended_ns: int) -> None:
        """Make one window of the last ones that an operation intended then ties together."""
        while len(self.windows) > 1 and intended_ns < self._reach_ns(self.windows[-2]):
            later = self.windows.pop()
            window = self.windows[-1]
            window.end_ns = later.end_ns
            window.counts += later.counts
            if later.longest_gap is not None:
                window.weigh(later.longest_gap)

    def _weigh_gaps(self, window: Window, since_ns: int) -> None:
        for gap in reversed(self._gaps):
            if gap[1] < since_ns:
                break
            window.weigh(gap)

    def gap(self, from_ns: int, to_ns: int) -> None:
        """A stretch without any success; kept if it touches a window and is that window's longest."""
        self._gaps.append((from_ns, to_ns))
        for window in reversed(self.windows):
            if window.end_ns < from_ns:
                break
            window.weigh((from_ns, to_ns))

    def advance(self, now_ns: int, done_total: int, in_flight: int = 0) -> Window | None:
        """Close the open window if its quiet period has passed; returns it if so.

        done_total:  operations of this class done so far, however they ended
        in_flight:   operations of this class under way; when none of them ends, silence is not quiet
        """
        self._progress.append((now_ns, done_total))
        horizon = now_ns - self._quiet_ns
        while len(self._progress) > 1 and self._progress[1][0] <= horizon:
            self._progress.popleft()
        while self._bad and self._bad[0] <= horizon:
            self._bad.popleft()
        window = self.open
        if window is None or self._progress[0][0] > horizon:
            return None
        done = done_total - self._progress[0][1]
        if len(self._bad) > self._threshold * done or (done == 0 and in_flight > 0):
            return None
        window.closed_ns = now_ns
        return window
