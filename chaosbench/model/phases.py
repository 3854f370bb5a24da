"""A fault taken apart: T0 to T7, the phases between them, the path that the cluster took."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Path(StrEnum):
    """What the cluster did about a fault.

    FAILOVER             another node leads, unasked
    SWITCHOVER           another node leads, as somebody asked of Patroni
    DEMOTION_AND_RETURN  the same node leads again, on a new timeline: it had stepped down
    RESTART_IN_PLACE     the same node leads on the same timeline, but did not answer, or not as primary, in between
    NONE                 nothing of the kind
    """

    FAILOVER = "failover"
    SWITCHOVER = "switchover"
    DEMOTION_AND_RETURN = "demotion and return"
    RESTART_IN_PLACE = "restart in place"
    NONE = "none"


class Step(StrEnum):
    """Where a cluster stands that did not come back: the phase that does not end."""

    DETECTION = "detection"
    ELECTION = "election"
    PROMOTION = "promotion"
    PROXY = "proxy"
    CLIENT = "client"
    REDUNDANCY = "redundancy"


@dataclass(frozen=True, slots=True)
class Span:
    """One fault and what its clients lived through, all in the run's nanoseconds.

    end_ns:  observations from then on belong to the next fault, or there are none
    t1_ns:   first failure of a client's write; None when none failed
    t6_ns:   first write acknowledged again; None when none was, or none failed
    ack_ns:  the same of any other client that was watched: as good a proof that Pgpool routes writes
    """

    t0_ns: int
    end_ns: int
    t1_ns: int | None = None
    t6_ns: int | None = None
    ack_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Phases:
    """When each step was reached. ``within_ns`` gives, by name (``t4``), how far before its stamp it may have been.

    elections:  how often the leader key was taken
    hangs_at:   the step at which the cluster stands; None when it came back whole
    why:        the same in words
    """

    t0_ns: int
    t1_ns: int | None = None
    t2_ns: int | None = None
    t3_ns: int | None = None
    t4_ns: int | None = None
    t5_ns: int | None = None
    t6_ns: int | None = None
    t7_ns: int | None = None
    path: Path = Path.NONE
    elections: int = 0
    within_ns: dict[str, int] = field(default_factory=dict)
    hangs_at: Step | None = None
    why: str = ""

    @property
    def detection_ns(self) -> int | None:
        """T0 to T2."""
        return _length(self.t0_ns, self.t2_ns)

    @property
    def election_ns(self) -> int | None:
        """T2 to T3."""
        return _length(self.t2_ns, self.t3_ns)

    @property
    def promotion_ns(self) -> int | None:
        """T3 to T4."""
        return _length(self.t3_ns, self.t4_ns)

    @property
    def proxy_ns(self) -> int | None:
        """T4 to T5."""
        return _length(self.t4_ns, self.t5_ns)

    @property
    def client_ns(self) -> int | None:
        """T5 to T6."""
        return _length(self.t5_ns, self.t6_ns)

    @property
    def redundancy_ns(self) -> int | None:
        """T0 to T7."""
        return _length(self.t0_ns, self.t7_ns)


def _length(from_ns: int | None, to_ns: int | None) -> int | None:
    return None if from_ns is None or to_ns is None or to_ns < from_ns else to_ns - from_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineStamp:
    """What the container engine did to the member that was hit, by its own clock."""

    at_s: float
    action: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseReport:
    """A fault taken apart. A step that was not reached is null, and so is every phase that touches it.

    path:             failover, switchover, demotion and return, restart in place, or none
    t0_s ... t7_s:    when each step was reached; see docs/definitions.md
    within_s:         how long before its stamp a step may have been reached: the resolution of that very stamp
    degraded_tail_s:  T6 until p99 was within twice the steady state's; null when it was not seen to be
    elections:        how often the leader key was taken
    hangs_at, why:    the step at which the cluster stood at the end; null when it came back whole
    lease_ttl_s:      whole seconds that the leader's lease had left just before T0, rounded down
    etcd_leader:      the etcd member that led then
    etcd_hit:         the etcd member that the fault hit, if it was one
    canary_t1_s, canary_t6_s:  the same as t1_s and t6_s for the canary, which writes at 200/s and does not back off
    no_write_from_s, no_write_to_s:  the longest stretch without an acknowledgement of any write, the load's or the
        canary's; null when the canary did not write
    engine:           the container engine's own times
    """

    path: str
    t0_s: float
    t1_s: float | None
    t2_s: float | None
    t3_s: float | None
    t4_s: float | None
    t5_s: float | None
    t6_s: float | None
    t7_s: float | None
    within_s: dict[str, float]
    detection_s: float | None
    election_s: float | None
    promotion_s: float | None
    proxy_s: float | None
    client_s: float | None
    redundancy_s: float | None
    degraded_tail_s: float | None
    elections: int
    hangs_at: str | None
    why: str
    lease_ttl_s: int | None
    etcd_leader: str | None
    etcd_hit: str | None
    canary_t1_s: float | None
    canary_t6_s: float | None
    no_write_from_s: float | None
    no_write_to_s: float | None
    engine: tuple[EngineStamp, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ObserverReport:
    """What one observer cost: questions a second put to the cluster while it looked often, and otherwise.

    failed:  why it could not observe; null when it could
    """

    name: str
    quick_per_s: float
    slow_per_s: float
    failed: str | None
