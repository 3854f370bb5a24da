"""What happened between two looks at a recorder: rates, percentiles, errors. For sinks that show people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from chaosbench.clock import NS
from chaosbench.histogram import Histogram, merged
from chaosbench.outcome import OpClass, Outcome
from chaosbench.recorder.recorder import Recorder
from chaosbench.recorder.tally import Tally
from chaosbench.sinks.steps import Steps, at_once

Reasons = Counter[tuple[Outcome, str]]


@dataclass(frozen=True, slots=True)
class Flow:
    """One class of traffic in an interval.

    ``offered`` and ``ok`` are per second; the percentiles are response times of
    successes in milliseconds, None without any, and ``response`` holds all of
    them; ``ended`` counts what did not end ok in the interval.
    """

    offered: float = 0.0
    ok: float = 0.0
    p50_ms: float | None = None
    p99_ms: float | None = None
    ended: Counter[Outcome] = field(default_factory=Counter)
    response: Histogram = field(default_factory=Histogram)


@dataclass(frozen=True, slots=True)
class Interval:
    """Everything between two looks; ``load`` adds up reads and writes.

    ``reasons`` are those of the interval, ``total_reasons`` and the other
    totals those since the recorder began; ``total_response`` holds the response
    times of successes, by class without connects.
    """

    seconds: float
    flows: Mapping[OpClass, Flow]
    load: Flow
    reasons: Reasons
    total_reasons: Reasons
    total_offered: int
    total_ok: int
    total_response: Mapping[OpClass, Histogram] = field(default_factory=dict)

    @property
    def errors(self) -> float:
        """Reads and writes a second that did not end ok."""
        return self.load.ended.total() / self.seconds


@dataclass(slots=True)
class _Sum:
    """A class's tallies added up at one instant."""

    attempted: int = 0
    ok: int = 0
    ended: Counter[Outcome] = field(default_factory=Counter)
    response: Histogram = field(default_factory=Histogram)

    def add(self, tally: Tally) -> None:
        """Add one tally as it is now."""
        self.attempted += tally.attempted
        self.ok += tally.ok
        self.ended.update(tally.ended)
        self.response.add(tally.response)


class Sampler:
    """Remembers the last look at a recorder; a different recorder starts afresh."""

    def __init__(self) -> None:
        self._recorder: Recorder | None = None
        self._at_ns = 0
        self._sums: dict[OpClass, _Sum] = {}
        self._reasons: Reasons = Counter()

    def sample(self, recorder: Recorder, now_ns: int) -> Interval:
        """The interval since the last look, or since the recorder began."""
        return at_once(self.steps(recorder, now_ns))

    def steps(self, recorder: Recorder, now_ns: int) -> Steps[Interval]:
        """The same, with a chance for others to run after every histogram: 0.1 ms each, many in a large scenario.

        Each tally is read in one piece, so its own figures always agree.
        """
        if recorder is not self._recorder:
            self._recorder, self._at_ns = recorder, recorder.started_ns
            self._sums, self._reasons = {}, Counter()
        seconds = max(now_ns - self._at_ns, 1_000_000) / NS
        sums: dict[OpClass, _Sum] = {}
        reasons: Reasons = Counter()
        for tally in recorder.tallies:
            reasons.update(tally.reasons)
            sums.setdefault(tally.op_class, _Sum()).add(tally)
            yield
        changes = {}
        for op_class, now in sums.items():
            changes[op_class] = _change(now, self._sums.get(op_class))
            yield
        load = _together(change for op_class, change in changes.items() if op_class is not OpClass.CONNECT)
        yield
        flows = {}
        for op_class, change in changes.items():
            flows[op_class] = _flow(change, seconds)
            yield
        operations = {op_class: one for op_class, one in sums.items() if op_class is not OpClass.CONNECT}
        interval = Interval(
            seconds=seconds,
            flows=flows,
            load=_flow(load, seconds),
            reasons=reasons - self._reasons,
            total_reasons=reasons,
            total_offered=sum(one.attempted for one in operations.values()),
            total_ok=sum(one.ok for one in operations.values()),
            total_response={op_class: one.response for op_class, one in operations.items()},
        )
        self._at_ns, self._sums, self._reasons = now_ns, sums, reasons
        return interval


def _change(now: _Sum, before: _Sum | None) -> _Sum:
    if before is None:
        return now
    return _Sum(
        now.attempted - before.attempted,
        now.ok - before.ok,
        now.ended - before.ended,
        now.response.since(before.response),
    )


def _together(changes: Iterable[_Sum]) -> _Sum:
    several = list(changes)
    if len(several) == 1:
        return several[0]
    ended: Counter[Outcome] = Counter()
    for change in several:
        ended.update(change.ended)
    return _Sum(
        sum(change.attempted for change in several),
        sum(change.ok for change in several),
        ended,
        merged(change.response for change in several),
    )


def _flow(change: _Sum, seconds: float) -> Flow:
    p50, p99 = change.response.percentiles_ms((50, 99))
    return Flow(change.attempted / seconds, change.ok / seconds, p50, p99, change.ended, change.response)
