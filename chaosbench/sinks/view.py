"""What the live view knows: events and intervals folded into the state of the run now. No drawing."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from chaosbench.clock import NS
from chaosbench.events import Event, Kind
from chaosbench.outcome import OpClass
from chaosbench.recorder.recorder import Recorder
from chaosbench.sinks.interval import Interval
from chaosbench.sinks.wording import Saying, say
from chaosbench.windows import Window

HISTORY = 60
"""Intervals behind the sparklines: a minute."""
EVENTS = 40
"""Events remembered; more than any terminal shows."""
_UNLISTED = frozenset({Kind.STAGE, Kind.FAULT_INJECTING})
"""Kinds whose news the rest of the view shows already."""


@dataclass(slots=True)
class Fault:
    """A fault between the decision to inject it and its healing; ``since_ns`` is None until it is in place."""

    name: str
    injector: str
    target: str
    since_ns: int | None = None
    stuck: bool = False


@dataclass(slots=True)
class Phase:
    """The stage that the scenario is in; ``progress`` is (done, total, unit)."""

    data: dict[str, Any] = field(default_factory=dict)
    since_ns: int = 0
    progress: tuple[float, float, str] | None = None

    @property
    def name(self) -> str:
        """``health``, ``warm_up``, ``load``, ..."""
        return str(self.data.get("name", ""))


@dataclass(slots=True)
class View:
    """The run as it stands. Changed by :meth:`event` and :meth:`tick` only."""

    run: dict[str, Any] = field(default_factory=dict)
    scenario: dict[str, Any] = field(default_factory=dict)
    number: int = 0
    phase: Phase = field(default_factory=Phase)
    faults: dict[str, Fault] = field(default_factory=dict)
    windows: tuple[Window, ...] = ()
    interval: Interval | None = None
    ok: deque[float] = field(default_factory=lambda: deque(maxlen=HISTORY))
    errors: deque[float] = field(default_factory=lambda: deque(maxlen=HISTORY))
    leader: str | None = None
    in_flight: int = 0
    backlog: int = 0
    suspects: int = 0
    suspect_ns: int = 0
    suspect_ms: float = 0.0
    sayings: deque[tuple[int, Saying]] = field(default_factory=lambda: deque(maxlen=EVENTS))

    def event(self, event: Event) -> None:
        """Fold in an event."""
        fold = _FOLDS.get(event.kind)
        if fold is not None:
            fold(self, event)
        saying = None if event.kind in _UNLISTED else say(event)
        if saying is not None:
            self.sayings.append((event.at_ns, saying))

    def tick(self, recorder: Recorder, interval: Interval) -> None:
        """Fold in the load's last interval."""
        self.interval = interval
        self.ok.append(interval.load.ok)
        self.errors.append(interval.errors)
        self.leader = recorder.leader
        self.backlog = recorder.backlog
        self.in_flight = sum(tally.in_flight for tally in recorder.tallies)
        self.windows = tuple(window for window in recorder.windows() if not window.closed)

    def elapsed(self, now_ns: int) -> float:
        """Seconds in the present stage."""
        return max(0.0, (now_ns - self.phase.since_ns) / NS)

    def planned(self) -> float | None:
        """Seconds that the present stage is meant to take, where that is known."""
        seconds = {"warm_up": "warm_up_s", "load": "duration_s"}.get(self.phase.name)
        return self.scenario.get(seconds) if seconds else None

    def next_fault(self, now_ns: int) -> tuple[str, float] | None:
        """The next planned fault's name and the seconds until then."""
        if self.phase.name != "load":
            return None
        elapsed = self.elapsed(now_ns)
        coming = ((fault["fault"], fault["at_s"] - elapsed) for fault in self.scenario["faults"])
        waiting = [(name, seconds) for name, seconds in coming if seconds > 0]
        return min(waiting, key=lambda one: one[1], default=None)

    def _run_started(self, event: Event) -> None:
        self.run = dict(event.data)

    def _scenario_started(self, event: Event) -> None:
        self.scenario = dict(event.data)
        self.number += 1
        self.phase = Phase({}, event.at_ns)
        self.faults.clear()
        self.windows, self.interval = (), None
        self.ok.clear()
        self.errors.clear()
        self.suspects = self.in_flight = self.backlog = 0

    def _scenario_finished(self, event: Event) -> None:
        self.phase = Phase({}, event.at_ns)

    def _stage(self, event: Event) -> None:
        same = self.phase.name == event.data["name"]
        self.phase = Phase(dict(event.data), self.phase.since_ns if same else event.at_ns)

    def _progress(self, event: Event) -> None:
        self.phase.progress = (event.data["done"], event.data["total"], event.data["unit"])

    def _fault_injecting(self, event: Event) -> None:
        name = event.data["fault"]
        self.faults[name] = Fault(name, event.data["injector"], event.data["target"])

    def _fault_injected(self, event: Event) -> None:
        self._fault_injecting(event)
        self.faults[event.data["fault"]].since_ns = event.at_ns

    def _fault_gone(self, event: Event) -> None:
        self.faults.pop(event.data["fault"], None)

    def _heal_failed(self, event: Event) -> None:
        fault = self.faults.get(event.data["fault"])
        if fault is not None:
            fault.stuck = True

    def _leader_changed(self, event: Event) -> None:
        self.leader = event.data["leader"]

    def _generator_suspect(self, event: Event) -> None:
        self.suspects += 1
        self.suspect_ns = event.at_ns
        self.suspect_ms = event.data["lag_ms"]


_FOLDS: Mapping[Kind, Callable[[View, Event], None]] = {
    Kind.RUN_STARTED: View._run_started,
    Kind.SCENARIO_STARTED: View._scenario_started,
    Kind.SCENARIO_FINISHED: View._scenario_finished,
    Kind.STAGE: View._stage,
    Kind.PROGRESS: View._progress,
    Kind.FAULT_INJECTING: View._fault_injecting,
    Kind.FAULT_INJECTED: View._fault_injected,
    Kind.FAULT_HEALED: View._fault_gone,
    Kind.FAULT_FAILED: View._fault_gone,
    Kind.HEAL_FAILED: View._heal_failed,
    Kind.LEADER_CHANGED: View._leader_changed,
    Kind.GENERATOR_SUSPECT: View._generator_suspect,
}


def open_classes(windows: tuple[Window, ...]) -> tuple[tuple[OpClass, Window], ...]:
    """The open windows by class, writes first: they matter most."""
    return tuple(sorted(((window.op_class, window) for window in windows), key=lambda one: one[0], reverse=True))
