"""A scenario as it was asked for, after it has been checked. The YAML's dicts end in the loader."""

from __future__ import annotations

from dataclasses import dataclass

from chaosbench.injectors import Injector
from chaosbench.model.scenario import Expectation, StreamSettings, Windows
from chaosbench.workload import WorkloadSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """One stream of load: a workload and the way it arrives."""

    name: str
    workload: WorkloadSettings
    settings: StreamSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedFault:
    """A fault that comes ``at`` seconds after the measurement began."""

    name: str
    at: float
    injector: Injector


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One experiment. Times in seconds; ``recovery`` is how long the cluster may take to be whole again.

    trials:     how often it is run
    loop_wait:  of Patroni; the faults of a trial among several come up to so much later
    """

    name: str
    description: str
    duration: float
    warm_up: float
    recovery: float
    scale: int
    streams: tuple[Stream, ...]
    faults: tuple[PlannedFault, ...]
    expectations: tuple[Expectation, ...]
    windows: Windows
    trials: int = 1
    loop_wait: float = 5.0

    @property
    def connections(self) -> int:
        """Connections that the whole load holds open."""
        return sum(stream.settings.workers for stream in self.streams)
