"""A scenario as it was asked for, after it has been checked. The YAML's dicts end in the loader."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum

from chaosbench.injectors import Injector
from chaosbench.model.faults import Permits
from chaosbench.model.scenario import Expectation, Spread, StreamSettings, Windows
from chaosbench.schedule import Mode, Schedule, Span, longest
from chaosbench.units import Budget
from chaosbench.workload import StaleReads, WorkloadSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """One stream of load: a workload and the way it arrives."""

    name: str
    workload: WorkloadSettings
    settings: StreamSettings

    @property
    def divisible(self) -> tuple[tuple[str, int], ...]:
        """What several workers share out of it, each at least one, and how many there are."""
        shared = (("connections", self.settings.workers),)
        return (*shared, ("registers", self.workload.registers)) if isinstance(self.workload, StaleReads) else shared


class OnConflict(StrEnum):
    """What becomes of a fault that another one, in place already, does not get along with."""

    WAIT = "wait"  # until the other is healed
    SKIP = "skip"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """An injector, and how it is drawn. Where its hold is a range, the injector's own is the high end."""

    injector: Injector
    span: Span


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduledFault:
    """An entry under ``faults``: what it does, and the rule for when."""

    name: str
    schedule: Schedule
    actions: tuple[Action, ...]
    mode: Mode = Mode.CHOOSE

    @classmethod
    def once(cls, name: str, at: float, injector: Injector) -> ScheduledFault:
        """The plainest: one injector, one time."""
        action = Action(injector=injector, span=Span(injector.hold, injector.hold))
        return cls(name=name, schedule=Schedule(at=at), actions=(action,))

    @property
    def numbered(self) -> bool:
        """Whether there can be several faults from this entry, told apart by a number."""
        return self.schedule.limit != 1 or (self.mode is Mode.SEQUENCE and len(self.actions) > 1)

    @property
    def spans(self) -> tuple[Span, ...]:
        """How the actions are drawn."""
        return tuple(action.span for action in self.actions)

    @property
    def longest(self) -> float:
        """How long one occurrence can take, in seconds."""
        return longest(self.spans, self.mode)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedFault:
    """One fault to come. ``at`` in seconds after the measurement began; waiting may make it later.

    hold:      drawn for it; None: the injector's own
    source:    name of the entry that it comes from
    cycle:     which occurrence of that, from 1
    last:      whether the occurrence ends with it
    wait:      pause after the step before it was healed
    schedule:  the entry's rule
    """

    name: str
    at: float
    injector: Injector
    hold: float | None = None
    source: str = ""
    cycle: int = 1
    last: bool = True
    wait: float = 0.0
    schedule: Schedule = field(default_factory=Schedule)

    @property
    def held(self) -> float:
        """How long it is held, in seconds."""
        return self.injector.hold if self.hold is None else self.hold


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One experiment. Times in seconds; ``recovery`` is how long the cluster may take to be whole again.

    trials:     how often it is run
    loop_wait:  of Patroni; the faults of a trial among several come up to so much later
    offset:     so much later all faults come in this trial
    spread:     the load is carried by several processes; None: by this one
    cool_down:  from when the cluster is whole after a fault to the next one; with one, no two are in place at once
    budget:     the most faults that are injected in a stretch of time
    settle:     so often the ledger is compared while the load runs; 0 only at the end
    rollup:     so often there is a report of the time since the last; 0 for none
    """

    name: str
    description: str
    duration: float
    warm_up: float
    recovery: float
    scale: int
    streams: tuple[Stream, ...]
    faults: tuple[ScheduledFault, ...]
    expectations: tuple[Expectation, ...]
    windows: Windows
    trials: int = 1
    loop_wait: float = 5.0
    conflict: OnConflict = OnConflict.WAIT
    permits: Permits = field(default_factory=Permits)
    offset: float = 0.0
    spread: Spread | None = None
    cool_down: float = 0.0
    budget: Budget | None = None
    settle: float = 0.0
    rollup: float = 0.0

    @property
    def endless(self) -> bool:
        """Whether it lasts until it is stopped."""
        return math.isinf(self.duration)

    def entry_of(self, fault: str) -> str:
        """The name of the entry that a fault comes from."""
        base, _, number = fault.rpartition("-")
        names = {entry.name for entry in self.faults}
        return base if number.isdecimal() and base in names and fault not in names else fault

    @property
    def soak(self) -> bool:
        """Whether it keeps on disk what it takes to go on after an end of chaosbench itself."""
        return self.trials == 1 and bool(self.settle or self.rollup)

    @property
    def connections(self) -> int:
        """Connections that the whole load holds open."""
        return sum(stream.settings.workers for stream in self.streams)
