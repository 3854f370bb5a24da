"""What the tests of the sinks share: a bench with a clock set by hand, and one event of each kind."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from chaosbench.clock import NS, Anchor, Clock
from chaosbench.events import Event, Kind
from chaosbench.model.scenario import Windows
from chaosbench.outcome import OpClass, Outcome
from chaosbench.recorder.recorder import Recorder
from chaosbench.recorder.tally import Tally

T0 = 100 * NS
ANCHOR = Anchor(T0, datetime(2026, 3, 1, 12, 0, tzinfo=UTC))
FAULT = {"fault": "leader-dies", "injector": "kill", "target": "pg1", "container": "5f0c2d9a71be"}
DATA: dict[Kind, dict[str, Any]] = {
    Kind.RUN_STARTED: {
        "run": "2026-03-01T12:00:00Z",
        "file": "scenarios.yaml",
        "scenarios": ["leader-kill"],
        "seed": 42,
    },
    Kind.TRIAL_STARTED: {"scenario": "leader-kill", "trial": 3, "trials": 5, "seed": 7, "phase_offset_s": 2.31},
    Kind.SCENARIO_STARTED: {
        "scenario": "leader-kill",
        "description": "kill the leader",
        "duration_s": 90.0,
        "warm_up_s": 5.0,
        "streams": ["load"],
        "faults": [{"fault": "leader-dies", "at_s": 20.0, "hold_s": 15.0}],
        "expectations": [{"metric": "rto", "limit": "<= 30s"}],
    },
    Kind.STAGE: {"name": "load", "detail": "90 s"},
    Kind.PROGRESS: {"stage": "data", "done": 400_000, "total": 1_000_000, "unit": "rows"},
    Kind.FAULT_WAITING: {"fault": "leader-dies", "reason": "it waits for a healthy cluster (pg2 is exited)"},
    Kind.FAULT_SKIPPED: {"fault": "leader-dies", "reason": "pause and other (kill) would undo each other on pg1"},
    Kind.FAULT_INJECTING: FAULT,
    Kind.FAULT_INJECTED: FAULT,
    Kind.FAULT_LOST: FAULT,
    Kind.FAULT_HEALED: FAULT,
    Kind.FAULT_FAILED: {"fault": "leader-dies", "error": "pg1 is paused already"},
    Kind.HEAL_FAILED: FAULT
    | {"error": "not healed; to heal by hand: docker start 5f0c", "remedy": "docker start 5f0c2d9a71be"},
    Kind.FAULT_OVER: {
        "fault": "leader-dies",
        "injector": "kill",
        "target": "pg1",
        "result": "recovered",
        "rto_s": 19.5,
        "write_gap_s": 19.4,
        "redundancy_s": 31.0,
        "path": "failover",
    },
    Kind.LEDGER_SETTLED: {
        "upto": 60_000,
        "rows": 59_990,
        "lost": 1,
        "recovered": 2,
        "unexpected": 0,
        "gone": 0,
        "held": 6_000,
    },
    Kind.RESUMED: {"segment": 2, "elapsed_s": 3600.0, "gap_s": 42.5, "ended": False, "rows_unlogged": 1_000_000},
    Kind.ROLLED_UP: {"number": 1, "verdict": "pass", "file": "runs/soak/rollups/001.md"},
    Kind.LEADER_CHANGED: {"leader": "pg2", "was": "pg1"},
    Kind.WINDOW_OPENED: {"class": "write", "reason": "57P01", "reopened": False},
    Kind.WINDOW_CLOSED: {
        "class": "write",
        "start_ns": T0 + NS,
        "end_ns": T0 + 3 * NS,
        "duration_s": 2.0,
        "counts": {"failed": 3, "unknown": 1},
    },
    Kind.GENERATOR_SUSPECT: {"lag_ms": 14.2},
    Kind.SINK_FAILED: {"sink": "events", "error": "OSError: No space left on device"},
    Kind.WARNING: {"text": "two primaries at once: pg1 and pg2 were both out of recovery"},
    Kind.FAULT_MEASURED: {
        "scenario": "leader-kill",
        "fault": "leader-dies",
        "injector": "kill",
        "target": "pg1",
        "result": "recovered",
        "rto_s": 19.5,
        "path": "failover",
        "phases": {
            "detection": 16.3,
            "election": 2.1,
            "promotion": 0.2,
            "proxy": 0.6,
            "client": 0.3,
            "redundancy": None,
        },
    },
    Kind.LEDGER_COMPARED: {
        "scenario": "leader-kill",
        "checked": True,
        "acked": 48_613,
        "lost": 2,
        "recovered": 5,
        "unexpected": 0,
    },
    Kind.SCENARIO_FINISHED: {"scenario": "leader-kill", "verdict": "pass", "directory": "results/leader-kill"},
    Kind.RUN_FINISHED: {"verdict": "pass", "exit_code": 0},
}
"""The data of one event of each kind, as whoever emits it fills it in."""


def event(kind: Kind, at_s: float = 0.0, **other: Any) -> Event:
    """The example of that kind, ``at_s`` seconds into the run."""
    return Event(T0 + round(at_s * NS), kind, DATA[kind] | other)


class Bench:
    """Recorders on a clock that is set by hand; what they tell goes to ``told``."""

    def __init__(self) -> None:
        self.now_ns = T0
        self.clock = Clock(now=lambda: self.now_ns)
        self.told: list[Event] = []
        self.recorder = self.renewed()

    def renewed(self) -> Recorder:
        """A new recorder, which is the bench's from now on."""
        self.recorder = Recorder(self.clock, Windows(), self.told.append)
        return self.recorder

    def tally(self, op_class: OpClass = OpClass.WRITE, operation: str = "") -> Tally:
        """The tally of that class; the operation is called as the class unless it has a name."""
        return self.recorder.tally("load", operation or op_class.value, op_class)

    def ok(self, count: int = 1, ms: float = 2.0, op_class: OpClass = OpClass.WRITE) -> None:
        """Operations that took so long."""
        tally = self.tally(op_class)
        for _ in range(count):
            tally.attempted += 1
            begin_ns = self.now_ns - round(ms * 1e6)
            tally.record_ok(begin_ns, begin_ns, self.now_ns)

    def bad(self, count: int = 1, outcome: Outcome = Outcome.FAILED, reason: str = "57P01", ms: float = 5.0) -> None:
        """Writes that did not end ok."""
        tally = self.tally()
        for _ in range(count):
            tally.attempted += 1
            begin_ns = self.now_ns - round(ms * 1e6)
            sent_ns = None if outcome is Outcome.SHED else begin_ns
            self.recorder.bad(tally, outcome, reason, begin_ns, sent_ns, self.now_ns)
