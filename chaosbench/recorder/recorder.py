"""All that is recorded of one scenario: tallies, error windows, outages, the generator's own lag."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from chaosbench.clock import Clock, to_ns
from chaosbench.events import Event, Kind
from chaosbench.histogram import Cells, Histogram
from chaosbench.model.scenario import Windows
from chaosbench.outage import WriteOutage
from chaosbench.outcome import OpClass, Outcome
from chaosbench.recorder.samples import Samples
from chaosbench.recorder.tally import ClassTrack, Tally
from chaosbench.windows import Window, WindowFolder

LAG_LIMIT_NS = 10_000_000
"""Event-loop lag from which an interval is generator-suspect."""


@dataclass(slots=True)
class ActiveFault:
    """A fault that is in place now."""

    name: str
    injector: str
    target: str
    since_ns: int


@dataclass(slots=True)
class Lag:
    """The generator's own lateness: how long the event loop was held; ``suspect_ns`` in intervals over the limit."""

    histogram: Histogram = field(default_factory=Histogram)
    suspect_ns: int = 0
    suspects: int = 0

    def record(self, late_ns: int) -> bool:
        """Count one lateness; True if it makes the interval suspect."""
        self.histogram.record(late_ns // 1000)
        if late_ns < LAG_LIMIT_NS:
            return False
        self.suspect_ns += late_ns
        self.suspects += 1
        return True

    def add(self, cells: Cells, suspect_ns: int, suspects: int) -> None:
        """What another event loop has counted of its own lateness."""
        self.histogram.add_cells(cells)
        self.suspect_ns += suspect_ns
        self.suspects += suspects


class Recorder:
    """Folds one scenario's operations. Created anew when the warm-up ends.

    ``emit`` hears of windows as they open and close. ``leader`` (a member's name)
    and ``backlog`` (arrivals that wait for a connection) are set by whoever knows
    them, for the sinks to show. ``samples``, if given, gets a row of every operation.
    A measurement that goes on began ``elapsed_ns`` ago, the time without chaosbench left out; this recorder's part
    of it at ``began_ns``.
    """

    def __init__(
        self,
        clock: Clock,
        windows: Windows,
        emit: Callable[[Event], None],
        samples: Samples | None = None,
        elapsed_ns: int = 0,
    ) -> None:
        self.clock = clock
        self.began_ns = clock.now()
        self.started_ns = self.began_ns - elapsed_ns
        self.lag = Lag()
        self.active_faults: dict[str, ActiveFault] = {}
        self.leader: str | None = None
        self.backlog = 0
        self.samples = samples
        self._emit = emit
        self._tallies: dict[tuple[str, str], Tally] = {}
        self._tracks = {
            op_class: ClassTrack(
                WindowFolder(op_class, to_ns(windows.quiet), windows.threshold),
                self.began_ns,
            )
            for op_class in OpClass
        }

    @property
    def tallies(self) -> tuple[Tally, ...]:
        """Every tally, connects included."""
        return tuple(self._tallies.values())

    @property
    def offered(self) -> int:
        """Reads and writes that have arrived so far, whatever became of them."""
        return sum(tally.attempted for tally in self.operations())

    def operations(self) -> Iterable[Tally]:
        """The tallies of reads and writes: what ``load`` in the summary adds up."""
        return (tally for tally in self._tallies.values() if tally.op_class is not OpClass.CONNECT)

    def tally(self, workload: str, operation: str, op_class: OpClass) -> Tally:
        """The tally of one kind of operation, made at its first use."""
        key = (workload, operation)
        if key not in self._tallies:
            self._tallies[key] = Tally(workload, operation, op_class, self._tracks[op_class], self.samples)
        return self._tallies[key]

    def bad(
        self,
        tally: Tally,
        outcome: Outcome,
        reason: str,
        intended_ns: int,
        sent_ns: int | None,
        done_ns: int,
    ) -> None:
        """Fold in an operation that did not end ok.

        One that began in an earlier recorder counts there, with its tally; nobody would tell that its window closes,
        so nobody is told that it opens.
        """
        tally.record_bad(outcome, reason, intended_ns, sent_ns, done_ns)
        folder = tally.track.folder
        if tally.track is not self._tracks[tally.op_class]:
            folder.bad(intended_ns, done_ns, outcome)
            return
        lapsed = folder.lapse(intended_ns)
        if lapsed is not None:
            self._emit(Event(done_ns, Kind.WINDOW_CLOSED, window_data(lapsed)))
        opened = folder.bad(intended_ns, done_ns, outcome)
        if opened is not None:
            data = {"class": tally.op_class.value, "reason": reason, "reopened": opened.counts.total() > 1}
            self._emit(Event(done_ns, Kind.WINDOW_OPENED, data))

    def watch(self, t0_ns: int) -> WriteOutage:
        """Start watching the writes for the outage of a fault injected at ``t0_ns``."""
        return self.follow(WriteOutage(t0_ns))

    def follow(self, outage: WriteOutage) -> WriteOutage:
        """Tell this outage too what becomes of the writes."""
        track = self._tracks[OpClass.WRITE]
        track.outages = (*track.outages, outage)
        return outage

    @property
    def outages(self) -> tuple[WriteOutage, ...]:
        """The outages that are watched now: of the latest faults, until the next one begins."""
        return self._tracks[OpClass.WRITE].outages

    def unwatch(self, outage: WriteOutage) -> None:
        """Stop watching; the outage keeps what it saw."""
        track = self._tracks[OpClass.WRITE]
        track.outages = tuple(one for one in track.outages if one is not outage)

    def track(self, op_class: OpClass) -> ClassTrack:
        """What is common to the operations of one class."""
        return self._tracks[op_class]

    def advance(self, now_ns: int | None = None) -> None:
        """Close the windows whose quiet period has passed, by now or by ``now_ns``. Called about ten times a second."""
        if now_ns is None:
            now_ns = self.clock.now()
        done: Counter[OpClass] = Counter()
        in_flight: Counter[OpClass] = Counter()
        for tally in self._tallies.values():
            done[tally.op_class] += tally.done
            in_flight[tally.op_class] += tally.in_flight
        for op_class, track in self._tracks.items():
            closed = track.folder.advance(now_ns, done[op_class], in_flight[op_class])
            if closed is not None:
                self._emit(Event(now_ns, Kind.WINDOW_CLOSED, window_data(closed)))

    def finish(self) -> None:
        """The load has ended: count the open stretches without success, close what is open."""
        now_ns = self.clock.now()
        for op_class, track in self._tracks.items():
            track.fold()
            window = track.folder.open
            if any(tally.op_class is op_class for tally in self._tallies.values()):
                track.folder.gap(track.last_ok_ns, now_ns)
            if window is not None:
                window.closed_ns = now_ns
                self._emit(Event(now_ns, Kind.WINDOW_CLOSED, window_data(window)))

    def windows(self) -> tuple[Window, ...]:
        """All error windows so far, by start."""
        for track in self._tracks.values():
            track.fold()
        found = (window for track in self._tracks.values() for window in track.folder.windows)
        return tuple(sorted(found, key=lambda window: window.start_ns))

    def dropped(self, op_class: OpClass) -> tuple[int, int]:
        """Windows of a class that are not kept any more: how many, and their lengths together."""
        folder = self._tracks[op_class].folder
        return folder.dropped, folder.dropped_ns

    def took_over(self, op_class: OpClass, dropped: int, dropped_ns: int) -> None:
        """Add another recorder's windows that it does not keep any more."""
        folder = self._tracks[op_class].folder
        folder.dropped += dropped
        folder.dropped_ns += dropped_ns

    def took_over_windows(self, windows: Iterable[Window]) -> None:
        """Add another recorder's windows, which were over before any of this one's that come later."""
        for window in windows:
            self._tracks[window.op_class].folder.take(window)


def window_data(window: Window) -> dict[str, object]:
    """A window as an event carries it: its class, stamps and counts."""
    return {
        "class": window.op_class.value,
        "start_ns": window.start_ns,
        "end_ns": window.end_ns,
        "duration_s": round(window.duration_ns / 1e9, 6),
        "counts": {outcome.value: number for outcome, number in sorted(window.counts.items())},
    }
