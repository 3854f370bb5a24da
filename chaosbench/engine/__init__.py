"""The load engine: thousands of operations in flight on one loop, each of them accounted for.

``source``   where operations come from: an arrival schedule with a backlog, or clients in a circle
``session``  one connection: how it is made, and what its exceptions mean
``worker``   one connection's life: connect, take an operation, run it, record it, again
``engine``   all workers of a scenario: warm-up, measurement, drain, time-outs

A workload plugs in through the protocols here and imports nothing else of the engine.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any, Protocol

from chaosbench.outcome import OpClass, Outcome


@dataclass(frozen=True, slots=True)
class Operation:
    """One kind of operation of a workload: its name in the figures and its class."""

    name: str
    op_class: OpClass


class Attempt:
    """What the engine must know of an operation under way; one a worker, used again and again.

    effect_sent:  set by the workload just before it sends something that can commit
    number:       1 for the first attempt at this operation
    row:          the ledger's id of this operation, 0 where there is none; kept when it is tried again
    node:         the PostgreSQL node that acknowledged it; None unless the workload asks the server for it
    """

    __slots__ = ("effect_sent", "node", "number", "row")

    def __init__(self) -> None:
        self.effect_sent = False
        self.number = 1
        self.row = 0
        self.node: str | None = None


class Session(Protocol):
    """A workload on one connection, its statements prepared."""

    def run(self, operation: int, attempt: Attempt) -> Awaitable[None]:
        """Run one operation to its acknowledgement. Raises whatever the driver raises."""
        ...


class RunningWorkload(Protocol):
    """A workload during one scenario.

    operations:  what it can do; ``pick`` returns an index into it
    retries:     how often an operation whose outcome is unknown is tried again with the same id
    """

    operations: tuple[Operation, ...]
    retries: int

    def pick(self, rng: random.Random) -> int:
        """Which operation comes next."""
        ...

    async def open(self, connection: Any, rng: random.Random) -> Session:
        """Prepare this workload's statements on a new connection."""
        ...

    def settle(self, row: int, outcome: Outcome) -> None:
        """An operation with a ledger row ended so (not called for those without a row)."""
        ...
