"""What containers use of the machine: as the engine counts it, as it adds up over a run, as the summary tells it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ContainerSample:
    """One look at a running container. Counters begin anew when the container does.

    wall_ns:          the engine's own time of it, since the epoch
    cpu_ns:           CPU time used
    memory_bytes:     in use, without the file cache that the kernel would give back
    read_bytes, ...:  moved to and from disks and networks; None where the engine does not count it
    """

    wall_ns: int
    cpu_ns: int
    memory_bytes: int
    read_bytes: int | None = None
    written_bytes: int | None = None
    receive_bytes: int | None = None
    transmit_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class ContainerUse:
    """A member's use as it stands. No counter ever falls: a restart adds to what was before it.

    at_ns:    when the engine told it, on the run's clock
    wall_ns:  the engine's own time of it, since the epoch; differences of counters belong to differences of this
    """

    at_ns: int
    wall_ns: int
    cpu_s: float
    memory_bytes: int
    read_bytes: int | None = None
    written_bytes: int | None = None
    receive_bytes: int | None = None
    transmit_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerSpan:
    """A container over a stretch of time; null where the engine did not tell.

    seconds:            between the first and the last look
    cpu_mean, cpu_max:  cores; the maximum is over about a second
    memory_*_bytes:     without the file cache that the kernel would give back
    *_bytes:            read from and written to disks, received and transmitted over networks, in that time
    """

    seconds: float
    cpu_mean: float | None
    cpu_max: float | None
    memory_mean_bytes: int | None
    memory_max_bytes: int | None
    read_bytes: int | None
    written_bytes: int | None
    receive_bytes: int | None
    transmit_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerReport:
    """One member's container: during the load, and from each fault's injection until it was healed."""

    member: str
    load: ContainerSpan
    faults: dict[str, ContainerSpan]
