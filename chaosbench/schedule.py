"""When a fault comes, which of its actions it is, and how long it holds: all of it from a seed. Pure.

:func:`draws` makes the occurrences of one fault, one by one and without end
where the schedule has none. Each fault draws from a generator of its own,
seeded by its name: another fault in the file changes nothing for it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """What a fault may wait for."""

    HEALTHY = "healthy"  # the whole cluster, redundancy included
    STEADY = "steady"  # p99 and errors are back at the steady state's
    HEALED = "healed"  # another fault


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that must hold before a fault comes; ``fault`` only for ``HEALED``."""

    state: State
    fault: str = ""

    def __str__(self) -> str:
        return f"healed: {self.fault}" if self.state is State.HEALED else self.state.value


class Mode(StrEnum):
    """What a fault with several actions does with them each time it comes."""

    CHOOSE = "choose"  # one of them, by weight
    SEQUENCE = "sequence"  # all of them, one after the other


@dataclass(frozen=True, slots=True)
class Span:
    """How an action is drawn, in seconds.

    low, high:  it holds for so long, drawn evenly; the same where it is no range
    weight:     how often it is chosen, in proportion to the others
    wait:       in a sequence: pause after the one before it was healed
    """

    low: float = 0.0
    high: float = 0.0
    weight: float = 1.0
    wait: float = 0.0

    @property
    def mean(self) -> float:
        """How long it holds on average."""
        return (self.low + self.high) / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """The rule of one fault; times in seconds from the start of the measurement.

    Exactly one of ``at``, ``every`` and ``mtbf`` gives the times; without any
    the fault comes as soon as its conditions hold, ``times`` times, each time
    after the last one was healed.

    jitter:       with ``every``: each comes up to so much later, drawn evenly
    mtbf:         mean time from one injection to the next; the healthy time between them is exponential
    start, end:   no occurrence before, none that would hold until ``end`` or beyond
    times:        at most so many occurrences; None for no limit
    conditions:   all must hold; until then the occurrence waits
    """

    at: float | None = None
    every: float | None = None
    mtbf: float | None = None
    jitter: float = 0.0
    start: float | None = None
    end: float = math.inf
    times: int | None = None
    conditions: tuple[Condition, ...] = ()

    @property
    def periodic(self) -> bool:
        """Whether it comes by the clock again and again."""
        return self.every is not None or self.mtbf is not None

    @property
    def chained(self) -> bool:
        """Whether only its conditions say when it comes."""
        return self.at is None and not self.periodic

    @property
    def limit(self) -> int | None:
        """The most occurrences there can be."""
        return self.times if self.periodic or self.times is not None else 1


@dataclass(frozen=True, slots=True)
class Draw:
    """One action of one occurrence.

    cycle:   number of the occurrence, from 1; the steps of a sequence share it
    action:  which one, counted from 0
    last:    whether the occurrence ends with it
    at:      the earliest time; waiting may make it later
    hold:    how long it holds
    wait:    pause after the step before it was healed
    """

    cycle: int
    action: int
    last: bool
    at: float
    hold: float
    wait: float = 0.0


def draws(name: str, schedule: Schedule, spans: Sequence[Span], mode: Mode, seed: str) -> Iterator[Draw]:
    """The occurrences of the fault ``name``, by time; endless where the schedule is.

    seed:  of the run, or of the trial
    """
    rng = random.Random(f"{seed}/{name}/schedule")  # noqa: S311 - not for secrets
    whole_mean = _mean(spans, mode)
    previous_end: float | None = None
    for cycle in _cycles(schedule):
        begin = _begin(schedule, cycle, previous_end, whole_mean, rng)
        found = tuple(_occurrence(cycle, begin, spans, mode, rng))
        previous_end = found[-1].at + found[-1].hold
        if previous_end >= schedule.end:
            return
        yield from found


def longest(spans: Sequence[Span], mode: Mode) -> float:
    """How long one occurrence can take, pauses included."""
    if mode is Mode.CHOOSE:
        return max(span.high for span in spans)
    return math.fsum(span.high for span in spans) + math.fsum(span.wait for span in spans[1:])


def _mean(spans: Sequence[Span], mode: Mode) -> float:
    if mode is Mode.SEQUENCE:
        return math.fsum(span.mean for span in spans) + math.fsum(span.wait for span in spans[1:])
    return math.fsum(span.mean * span.weight for span in spans) / math.fsum(span.weight for span in spans)


def _cycles(schedule: Schedule) -> Iterator[int]:
    cycle = 1
    while schedule.limit is None or cycle <= schedule.limit:
        yield cycle
        cycle += 1


def _begin(schedule: Schedule, cycle: int, previous_end: float | None, whole_mean: float, rng: random.Random) -> float:
    """When an occurrence begins; ``previous_end`` is when the one before it ends."""
    if schedule.at is not None:
        return schedule.at
    if schedule.every is not None:
        first = schedule.every if schedule.start is None else schedule.start
        return first + (cycle - 1) * schedule.every + rng.uniform(0.0, schedule.jitter)
    if schedule.mtbf is not None:
        since = (schedule.start or 0.0) if previous_end is None else previous_end
        return since + rng.expovariate(1.0 / (schedule.mtbf - whole_mean))
    return schedule.start or 0.0


def _occurrence(cycle: int, begin: float, spans: Sequence[Span], mode: Mode, rng: random.Random) -> Iterator[Draw]:
    if mode is Mode.CHOOSE:
        index = 0
        if len(spans) > 1:
            (index,) = rng.choices(range(len(spans)), [span.weight for span in spans])
        yield Draw(cycle, index, True, _ms(begin), _hold(spans[index], rng))
        return
    at = begin
    for index, span in enumerate(spans):
        wait = span.wait if index else 0.0
        hold = _hold(span, rng)
        yield Draw(cycle, index, index == len(spans) - 1, _ms(at + wait), hold, wait)
        at += wait + hold


def _hold(span: Span, rng: random.Random) -> float:
    return span.low if span.low == span.high else _ms(rng.uniform(span.low, span.high))


def _ms(seconds: float) -> float:
    """To the millisecond: a plan is printed, and what is printed is what is done."""
    return round(seconds, 3)
