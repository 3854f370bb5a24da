"""The parts of a scenario that the lower layers know: how load arrives, when windows end, what is expected."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BeforeValidator, ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass

from chaosbench.units import Rate, Ratio, Seconds

STRICT = ConfigDict(extra="forbid", arbitrary_types_allowed=True, allow_inf_nan=False, defer_build=True)
"""Settings classes refuse keys that they do not know."""


_ADDRESS = r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):[1-9][0-9]{0,4}"


def _scheduler(value: object) -> object:
    if not isinstance(value, str) or not re.fullmatch(f"(?:tcp|tls)://{_ADDRESS}", value):
        raise ValueError(f"{value!r} is not the address of a Dask scheduler: write one as in tcp://host:8786")
    return value


def _proxy(value: object) -> object:
    if not isinstance(value, str) or not re.fullmatch(_ADDRESS, value):
        raise ValueError(f"{value!r} is not an address: write host:port, as in db.example:9999")
    return value


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
class Spread:
    """Load that several processes carry.

    workers:         worker processes on this machine; with ``scheduler``, so many of those that it has (all of them)
    scheduler:       a Dask scheduler that is there already, with workers on whatever machines
    proxy:           where the workers find Pgpool, if not where this machine does
    on_worker_lost:  go on with the others, or end the measurement: the scenario has then failed
    """

    workers: int | None = Field(default=None, ge=1, le=1000)
    scheduler: Annotated[str | None, BeforeValidator(_scheduler)] = None
    proxy: Annotated[str | None, BeforeValidator(_proxy)] = None
    on_worker_lost: Literal["continue", "fail"] = "continue"

    @model_validator(mode="after")
    def _somewhere(self) -> Spread:
        if self.workers is None and self.scheduler is None:
            raise ValueError(
                "give 'workers' (processes on this machine, as in 2) or 'scheduler' (as in tcp://host:8786)"
            )
        return self


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
