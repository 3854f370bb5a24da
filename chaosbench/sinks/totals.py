"""Counters over all recorders of a process, so that none ever goes backwards.

A recorder lives for a warm-up or a scenario, but a Prometheus counter lives as
long as the process. So the figures of recorders that have ended are kept as a
base, per label set, and those of the present one are added. A recorder that
was replaced is read live until nothing of it is in flight: an operation ends in
the recorder in which it began.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

from chaosbench.outcome import OpClass
from chaosbench.recorder.recorder import Recorder
from chaosbench.recorder.tally import Tally
from chaosbench.sinks.buckets import LAG, LATENCY, Buckets
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
        self._fold_in()
        result = self._base
        for recorder in self._retired:
            result = result.plus(read(recorder))
        return result if self.recorder is None else result.plus(read(self.recorder))

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


def read(recorder: Recorder) -> Reading:
    """One recorder's figures. This is what a scrape costs the loop in one piece: about 0.1 ms a tally."""
    window_ns: Counter[OpClass] = Counter()
    for window in recorder.windows():
        window_ns[window.op_class] += window.duration_ns
    return Reading(
        {(tally.workload, tally.operation, tally.op_class.value): figures(tally) for tally in recorder.tallies},
        LAG.count(recorder.lag.histogram),
        recorder.lag.suspects,
        window_ns,
    )


def figures(tally: Tally) -> Figures:
    """One tally's figures; the histograms of what went wrong are read only if something did."""
    reasons = Counter({(outcome.value, reason): count for (outcome, reason), count in tally.reasons.items()})
    result = Figures(
        tally.attempted,
        tally.ok,
        reasons,
        response=LATENCY.count(tally.response),
        service=LATENCY.count(tally.service),
    )
    if not reasons:
        return result
    return replace(
        result,
        response_bad=LATENCY.count(tally.response_bad),
        service_bad=LATENCY.count(tally.service_bad),
    )
