"""Counters over all recorders of a process, so that none ever goes backwards.

A recorder lives for a warm-up or a scenario, but a Prometheus counter lives as
long as the process. So the figures of recorders that have ended are kept as a
base, per label set, and those of the present one are added. A recorder that
was replaced is read live until nothing of it is in flight: an operation ends in
the recorder in which it began.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from chaosbench.histogram import Histogram
from chaosbench.outcome import OpClass, Outcome
from chaosbench.recorder.recorder import Recorder
from chaosbench.recorder.tally import Tally
from chaosbench.sinks.buckets import LAG, LATENCY, Buckets
from chaosbench.sinks.steps import Steps, at_once
from chaosbench.windows import Window

Key = tuple[str, str, str]
"""Workload, operation, class."""
NO_BUCKETS = Buckets((0,) * (len(LATENCY.bounds) + 1), 0)
NO_LAG = Buckets((0,) * (len(LAG.bounds) + 1), 0)
_RETIRED_KEPT = 2
"""Replaced recorders still read live; an older one is folded in whatever is left of it."""


@dataclass(frozen=True, slots=True)
class Figures:
    """One kind of operation: counts, and latencies of successes and of everything else (``*_bad``)."""

    attempted: int = 0
    ok: int = 0
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)
    response: Buckets = NO_BUCKETS
    response_bad: Buckets = NO_BUCKETS
    service: Buckets = NO_BUCKETS
    service_bad: Buckets = NO_BUCKETS

    @property
    def in_flight(self) -> int:
        """Attempted and not ended."""
        return self.attempted - self.ok - self.reasons.total()

    def plus(self, other: Figures) -> Figures:
        """Both together."""
        return Figures(
            self.attempted + other.attempted,
            self.ok + other.ok,
            self.reasons + other.reasons,
            self.response.plus(other.response),
            self.response_bad.plus(other.response_bad),
            self.service.plus(other.service),
            self.service_bad.plus(other.service_bad),
        )


@dataclass(frozen=True, slots=True)
class Reading:
    """Everything countable at one instant. ``window_ns`` is time inside error windows, by class."""

    figures: dict[Key, Figures] = field(default_factory=dict)
    lag: Buckets = NO_LAG
    suspects: int = 0
    window_ns: Counter[OpClass] = field(default_factory=Counter)

    def plus(self, other: Reading) -> Reading:
        """Both together."""
        figures = dict(self.figures)
        for key, more in other.figures.items():
            figures[key] = figures[key].plus(more) if key in figures else more
        return Reading(
            figures,
            self.lag.plus(other.lag),
            self.suspects + other.suspects,
            self.window_ns + other.window_ns,
        )


class Totals:
    """Follows the recorder in use and adds up all that came before it."""

    def __init__(self) -> None:
        self._base = Reading()
        self._retired: list[Recorder] = []
        self.recorder: Recorder | None = None

    def follow(self, recorder: Recorder) -> None:
        """Count this recorder's figures from now on, on top of the earlier ones'."""
        if recorder is self.recorder:
            return
        if self.recorder is not None:
            self._retired.append(self.recorder)
        self.recorder = recorder
        self._fold_in()

    def read(self) -> Reading:
        """All figures as they are now."""
        return at_once(self.steps())

    def steps(self) -> Steps[Reading]:
        """The same, with a chance for others to run after each kind of operation; yet all of one instant."""
        self._fold_in()
        recorders = [*self._retired, *([self.recorder] if self.recorder is not None else [])]
        copies = [Copy.of(recorder) for recorder in recorders]
        result = self._base
        for copy in copies:
            result = result.plus((yield from copy.steps()))
            yield
        return result

    def open_windows(self) -> tuple[Window, ...]:
        """The error windows that are open now in the recorder in use."""
        if self.recorder is None:
            return ()
        return tuple(window for window in self.recorder.windows() if not window.closed)

    def _fold_in(self) -> None:
        """Keep only the figures of replaced recorders to which nothing can be added any more."""
        surplus = len(self._retired) - _RETIRED_KEPT
        live = []
        for index, recorder in enumerate(self._retired):
            if index >= surplus and any(tally.in_flight for tally in recorder.tallies):
                live.append(recorder)
            else:
                self._base = self._base.plus(read(recorder))
        self._retired = live


@dataclass(frozen=True, slots=True)
class Counted:
    """One tally at one instant. The histograms of what went wrong are copied only if something did."""

    key: Key
    attempted: int
    ok: int
    reasons: Counter[tuple[Outcome, str]]
    response: Histogram
    service: Histogram
    response_bad: Histogram | None
    service_bad: Histogram | None

    @classmethod
    def of(cls, tally: Tally) -> Counted:
        """As the tally is now."""
        return cls(
            key=(tally.workload, tally.operation, tally.op_class.value),
            attempted=tally.attempted,
            ok=tally.ok,
            reasons=tally.reasons.copy(),
            response=tally.response.copy(),
            service=tally.service.copy(),
            response_bad=tally.response_bad.copy() if tally.reasons else None,
            service_bad=tally.service_bad.copy() if tally.reasons else None,
        )


@dataclass(frozen=True, slots=True)
class Copy:
    """One recorder at one instant. Making it is what holds the loop in one piece: about 0.05 ms a tally."""

    tallies: tuple[Counted, ...]
    lag: Histogram
    suspects: int
    window_ns: Counter[OpClass]

    @classmethod
    def of(cls, recorder: Recorder) -> Copy:
        """As the recorder is now."""
        window_ns = Counter({op_class: recorder.dropped(op_class)[1] for op_class in OpClass})
        for window in recorder.windows():
            window_ns[window.op_class] += window.duration_ns
        return cls(
            tuple(map(Counted.of, recorder.tallies)), recorder.lag.histogram.copy(), recorder.lag.suspects, window_ns
        )

    def steps(self) -> Steps[Reading]:
        """Count it into buckets, tally by tally."""
        found = {}
        for tally in self.tallies:
            yield
            found[tally.key] = figures(tally)
        yield
        return Reading(found, LAG.count(self.lag), self.suspects, self.window_ns)


def read(recorder: Recorder) -> Reading:
    """One recorder's figures."""
    return at_once(Copy.of(recorder).steps())


def figures(tally: Counted) -> Figures:
    """One tally's figures in buckets."""
    return Figures(
        tally.attempted,
        tally.ok,
        Counter({(outcome.value, reason): count for (outcome, reason), count in tally.reasons.items()}),
        response=LATENCY.count(tally.response),
        service=LATENCY.count(tally.service),
        response_bad=LATENCY.count(tally.response_bad) if tally.response_bad is not None else NO_BUCKETS,
        service_bad=LATENCY.count(tally.service_bad) if tally.service_bad is not None else NO_BUCKETS,
    )
