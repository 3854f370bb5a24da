"""What the summary says of the processes that carried a load together."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerReport:
    """One worker process of a load that several carry.

    connections, attempted:  its share of the load, and the reads and writes that it began in the measurement
    cpu_s:                   CPU seconds that its process had used when it was last heard
    clock_offset_s:          its monotonic clock minus the coordinator's
    clock_uncertainty_ms:    by how much its stamps may be wrong for that; the worst during the run
    lost_at_s, lost_why:     when and why it was given up; its share of the load was offered no more. Null: it stayed
    in_flight_when_lost:     reads and writes that had not ended when it was last heard; counted as unknown
    """

    worker: int
    address: str
    connections: int
    attempted: int
    cpu_s: float
    clock_offset_s: float
    clock_uncertainty_ms: float
    lost_at_s: float | None
    lost_why: str | None
    in_flight_when_lost: int
