"""Things that happened, as the sinks hear of them. One flat type; the kind is its name.

Sinks match on :class:`Kind`; ``data`` holds JSON values only, so that an event
goes to ``events.jsonl`` as it is. The contract of each kind is in ``docs/events.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What can happen during a run."""

    RUN_STARTED = "run_started"
    TRIAL_STARTED = "trial_started"
    SCENARIO_STARTED = "scenario_started"
    STAGE = "stage"
    PROGRESS = "progress"
    FAULT_WAITING = "fault_waiting"
    FAULT_SKIPPED = "fault_skipped"
    FAULT_INJECTING = "fault_injecting"
    FAULT_INJECTED = "fault_injected"
    FAULT_LOST = "fault_lost"
    FAULT_HEALED = "fault_healed"
    FAULT_FAILED = "fault_failed"
    HEAL_FAILED = "heal_failed"
    FAULT_OVER = "fault_over"
    LEDGER_SETTLED = "ledger_settled"
    RESUMED = "resumed"
    ROLLED_UP = "rolled_up"
    LEADER_CHANGED = "leader_changed"
    WINDOW_OPENED = "window_opened"
    WINDOW_CLOSED = "window_closed"
    GENERATOR_SUSPECT = "generator_suspect"
    WORKER_LOST = "worker_lost"
    SINK_FAILED = "sink_failed"
    DISK_FULL = "disk_full"
    DISK_ROOM = "disk_room"
    PARTS_REMOVED = "parts_removed"
    CLOCK_STEPPED = "clock_stepped"
    WARNING = "warning"
    FAULT_MEASURED = "fault_measured"
    LEDGER_COMPARED = "ledger_compared"
    SCENARIO_FINISHED = "scenario_finished"
    RUN_FINISHED = "run_finished"


@dataclass(frozen=True, slots=True)
class Event:
    """One happening, stamped with the run's clock (nanoseconds)."""

    at_ns: int
    kind: Kind
    data: Mapping[str, Any] = field(default_factory=dict)
