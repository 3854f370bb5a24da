"""Error windows: from the first operation that did not end ok to the last, per traffic class.

A window opens at the *intended* start of the first operation that did not end
ok, and closes at the *done* time of the last one, once ``quiet`` has passed
during which at most ``threshold`` of the operations ended badly. Pure: it is
fed stamps and reads no clock.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field

from chaosbench.outcome import OpClass, Outcome


@dataclass(slots=True)
class Window:
    """One error window, stamps in nanoseconds.

    ``seen_ns`` is when the first bad operation was known to be bad: what ties a
    window to a fault. ``longest_gap`` is the longest stretch between two
    successes that touches the window, as ``(from, to)``; an open end is the
    end of the window. ``counts`` are the operations that did not end ok.
    """

    op_class: OpClass
    start_ns: int
    end_ns: int
    seen_ns: int
    counts: Counter[Outcome] = field(default_factory=Counter)
    longest_gap: tuple[int, int] | None = None
    closed: bool = False

    @property
    def duration_ns(self) -> int:
        """From opening to the last bad operation."""
        return self.end_ns - self.start_ns


class WindowFolder:
    """Folds one class's outcomes into windows as they become known.

    ``bad`` is called for every operation that did not end ok; ``gap`` for every
    stretch without success longer than a small limit; ``advance`` now and then
    (it closes windows). Operations may come in any order of intended start but
    come in order of done.
    """

    def __init__(self, op_class: OpClass, quiet_ns: int, threshold: float = 0.0) -> None:
        self._class = op_class
        self._quiet_ns = quiet_ns
        self._threshold = threshold
        self._bad: deque[int] = deque()
        self._progress: deque[tuple[int, int]] = deque()
        self.windows: list[Window] = []

    @property
    def open(self) -> Window | None:
        """The window that is open now."""
        return self.windows[-1] if self.windows and not self.windows[-1].closed else None

    def bad(self, intended_ns: int, done_ns: int, outcome: Outcome) -> Window | None:
        """Fold in one operation that did not end ok; returns the window if this one opened it."""
        window = self.open
        opened = None
        if window is not None and done_ns - window.end_ns > self._quiet_ns:
            window.closed = True
            window = None
        if window is None:
            window = opened = Window(self._class, intended_ns, done_ns, done_ns)
            self.windows.append(window)
        window.start_ns = min(window.start_ns, intended_ns)
        window.end_ns = max(window.end_ns, done_ns)
        window.counts[outcome] += 1
        self._bad.append(done_ns)
        return opened

    def gap(self, from_ns: int, to_ns: int) -> None:
        """A stretch without any success; kept if it touches a window and is that window's longest."""
        for window in reversed(self.windows):
            if window.end_ns < from_ns:
                break
            if window.start_ns <= to_ns and (
                window.longest_gap is None or to_ns - from_ns > window.longest_gap[1] - window.longest_gap[0]
            ):
                window.longest_gap = (from_ns, to_ns)

    def advance(self, now_ns: int, done_total: int) -> Window | None:
        """Close the open window if its quiet period has passed; returns it if so.

        done_total:  operations of this class done so far, however they ended
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
        if len(self._bad) > self._threshold * done:
            return None
        window.closed = True
        return window
