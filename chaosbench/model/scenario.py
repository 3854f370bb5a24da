"""The parts of a scenario that the lower layers know: how load arrives, when windows end, what is expected."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from chaosbench.units import Rate, Ratio, Seconds

STRICT = ConfigDict(extra="forbid", arbitrary_types_allowed=True, allow_inf_nan=False, defer_build=True)
"""Settings classes refuse keys that they do not know."""


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Stage:
    """A ramp: the arrival rate moves linearly to ``to`` over ``over`` seconds."""

    over: Seconds
    to: Rate


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class StreamSettings:
    """How one stream of load arrives and how long its clients wait.

    Open loop when ``rate`` is given: operations arrive on a schedule whether or
    not earlier ones are done. Closed loop when ``clients`` is given: each client
    sends its next operation when the last one is done (plus ``think``).

    timeout:          seconds from sending to giving up on an operation
    connect_timeout:  seconds for one connection attempt, authentication included
    deadline:         open loop: an arrival older than this is shed, not sent
    backlog:          open loop: arrivals that may wait for a free connection
    connections:      open loop: connections that serve the arrivals
    """

    name: str = ""
    rate: Rate | None = None
    arrivals: Literal["constant", "poisson"] = "constant"
    stages: tuple[Stage, ...] = ()
    connections: int = Field(default=32, ge=1, le=20_000)
    backlog: int = Field(default=10_000, ge=0)
    deadline: Seconds = 5.0
    clients: int | None = Field(default=None, ge=1, le=20_000)
    think: Seconds = 0.0
    timeout: Seconds = Field(default=5.0, gt=0)
    connect_timeout: Seconds = Field(default=5.0, gt=0)

    @property
    def workers(self) -> int:
        """Connections that this stream holds open."""
        return self.connections if self.clients is None else self.clients


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Expectation:
    """A limit on one figure of the summary, as ``rto: <= 30s``; unit is the metric's own."""

    metric: str
    operator: Literal["<", "<=", ">", ">=", "=="]
    limit: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Windows:
    """When an error window ends: ``quiet`` seconds with at most ``threshold`` of the operations not ok."""

    quiet: Seconds = Field(default=2.0, gt=0)
    threshold: Ratio = 0.0
