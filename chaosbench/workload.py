"""What the clients do: pgbench's transactions, a ledger, or SQL from the scenario file.

Each class is a workload's YAML settings; ``start`` gives the running workload that the engine drives. A new workload
is one class and one line in ``WORKLOADS``. What they send is in ``pgbench.py``, ``inserts.py`` and ``registers.py``.
"""

from __future__ import annotations

import random
import time
from bisect import bisect_right
from collections.abc import Awaitable, Callable
from dataclasses import dataclass as plain_dataclass
from dataclasses import field
from itertools import accumulate
from typing import Any, ClassVar, Protocol

from pydantic import Field
from pydantic.dataclasses import dataclass

from chaosbench.engine import Attempt, Operation, RunningWorkload, Session
from chaosbench.inserts import RunningLedger
from chaosbench.ledger import Ledger
from chaosbench.model.scenario import STRICT
from chaosbench.outcome import OpClass, Outcome
from chaosbench.parameters import CustomOperation, Draw, sampler
from chaosbench.pgbench import READ, SIMPLE_UPDATE, TPCB_LIKE, Call, Opener, select, transaction
from chaosbench.registers import RunningRegisters
from chaosbench.share import WHOLE, Share
from chaosbench.staleness import Registers
from chaosbench.units import Ratio


@plain_dataclass(frozen=True, slots=True)
class Context:
    """What a workload needs to know of the run.

    ledger:     where the ledger workload keeps its ids
    registers:  where the stale-reads workload keeps what it wrote and found
    now:        the run's clock
    share:      of a load that several processes carry, the part of this one
    """

    scale: int
    ledger: Ledger
    registers: Registers = field(default_factory=lambda: Registers(run=0))
    now: Callable[[], int] = time.monotonic_ns
    share: Share = WHOLE


class WorkloadSettings(Protocol):
    """What every workload class provides.

    kind:   its name in the YAML
    data:   the sets of tables it needs: ``pgbench``, ``ledger``, ``register``
    setup:  SQL to run before the load starts
    """

    kind: ClassVar[str]
    data: ClassVar[frozenset[str]]

    @property
    def setup(self) -> tuple[str, ...]:
        """SQL to run before the load starts."""
        ...

    def start(self, context: Context) -> RunningWorkload:
        """The workload, ready to run."""
        ...


@plain_dataclass(frozen=True, slots=True)
class Calls:
    """A session as a tuple of calls, one an operation."""

    calls: tuple[Call, ...]

    def run(self, operation: int, attempt: Attempt) -> Awaitable[None]:
        """Run one. No coroutine of its own: the hot path would pass through it twice."""
        return self.calls[operation](attempt)


class Running:
    """A running workload without state of its own: operations, their weights, how each is opened."""

    retries = 0

    def __init__(self, *parts: tuple[Operation, float, Opener]) -> None:
        self.operations = tuple(operation for operation, _, _ in parts)
        self._openers = tuple(opener for _, _, opener in parts)
        self._bounds = list(accumulate(weight for _, weight, _ in parts))

    def pick(self, rng: random.Random) -> int:
        """An operation by weight."""
        if len(self._bounds) == 1:
            return 0
        return bisect_right(self._bounds, rng.random() * self._bounds[-1], hi=len(self._bounds) - 1)

    async def open(self, connection: Any, rng: random.Random) -> Session:
        """Prepare every operation's statements."""
        return Calls(tuple([await opener(connection, rng) for opener in self._openers]))

    def settle(self, row: int, outcome: Outcome) -> None:
        """No ledger, nothing to settle."""


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class SelectOnly:
    """pgbench's select-only: one account's balance by primary key."""

    kind: ClassVar[str] = "select-only"
    data: ClassVar[frozenset[str]] = frozenset({"pgbench"})
    setup: ClassVar[tuple[str, ...]] = ()

    def start(self, context: Context) -> RunningWorkload:
        """Reads."""
        return Running((READ, 1.0, select(context.scale)))


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class SimpleUpdate:
    """pgbench's simple-update: an account is updated, read and logged, in one transaction."""

    kind: ClassVar[str] = "simple-update"
    data: ClassVar[frozenset[str]] = frozenset({"pgbench"})
    setup: ClassVar[tuple[str, ...]] = ()

    def start(self, context: Context) -> RunningWorkload:
        """Writes."""
        return Running((SIMPLE_UPDATE, 1.0, transaction(context.scale, full=False)))


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class TpcbLike:
    """pgbench's tpcb-like: account, teller and branch are updated, the change logged."""

    kind: ClassVar[str] = "tpcb-like"
    data: ClassVar[frozenset[str]] = frozenset({"pgbench"})
    setup: ClassVar[tuple[str, ...]] = ()

    def start(self, context: Context) -> RunningWorkload:
        """Writes that contend for few branches."""
        return Running((TPCB_LIKE, 1.0, transaction(context.scale, full=True)))


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Mixed:
    """select-only and simple-update in the given proportion."""

    kind: ClassVar[str] = "mixed"
    data: ClassVar[frozenset[str]] = frozenset({"pgbench"})
    setup: ClassVar[tuple[str, ...]] = ()

    read_ratio: Ratio = 0.8

    def start(self, context: Context) -> RunningWorkload:
        """Reads and writes."""
        parts = (
            (READ, self.read_ratio, select(context.scale)),
            (SIMPLE_UPDATE, 1 - self.read_ratio, transaction(context.scale, full=False)),
        )
        return Running(*(part for part in parts if part[1] > 0))


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class LedgerWorkload:
    """Inserts client-generated ids; every acknowledged one is looked for on every node afterwards.

    retries:  how often an insert whose outcome is unknown is tried again, with the same id
    """

    kind: ClassVar[str] = "ledger"
    data: ClassVar[frozenset[str]] = frozenset({"ledger"})
    setup: ClassVar[tuple[str, ...]] = ()

    retries: int = Field(default=0, ge=0, le=10)

    def start(self, context: Context) -> RunningWorkload:
        """Writes that can be accounted for one by one."""
        return RunningLedger(context.ledger, self.retries, context.now)


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class StaleReads:
    """Registers that only grow, written through one connection and read through others: how old is what a read finds?

    registers:   how many; the fewer, the more often each is written
    read_ratio:  share of the operations that read
    """

    kind: ClassVar[str] = "stale-reads"
    data: ClassVar[frozenset[str]] = frozenset({"register"})
    setup: ClassVar[tuple[str, ...]] = ()

    registers: int = Field(default=16, ge=1, le=1000)
    read_ratio: Ratio = 0.8

    def start(self, context: Context) -> RunningWorkload:
        """Writes, and reads that Pgpool may send to a replica."""
        node, mine = context.ledger.servings.node, context.share.of(self.registers)
        return RunningRegisters(context.registers, node, mine, self.read_ratio, context.now)


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class CustomSql:
    """SQL of your own: ``operations`` with their class, weight and statements; ``setup`` runs once before."""

    kind: ClassVar[str] = "sql"
    data: ClassVar[frozenset[str]] = frozenset()

    operations: tuple[CustomOperation, ...] = Field(min_length=1)
    setup: tuple[str, ...] = ()

    def start(self, context: Context) -> RunningWorkload:
        """Whatever the operations say."""
        return Running(
            *(
                (Operation(operation.name, operation.op_class), operation.weight, _custom(operation))
                for operation in self.operations
            )
        )


def _custom(operation: CustomOperation) -> Opener:
    """One statement commits by itself; several run as one transaction."""
    is_write = operation.op_class is OpClass.WRITE
    is_transaction = len(operation.statements) > 1

    async def opener(connection: Any, rng: random.Random) -> Call:
        prepared: list[tuple[Callable[..., Awaitable[object]], tuple[Draw, ...]]] = []
        for statement in operation.statements:
            fetch = (await connection.prepare(statement.sql)).fetch
            prepared.append((fetch, tuple(sampler(parameter, rng) for parameter in statement.parameters)))
        execute = connection.execute

        async def call(attempt: Attempt) -> None:
            if is_transaction:
                await execute("BEGIN")
            else:
                attempt.effect_sent = is_write
            for fetch, draws in prepared:
                await fetch(*(draw() for draw in draws))
            if is_transaction:
                attempt.effect_sent = is_write
                await execute("COMMIT")

        return call

    return opener


WORKLOADS: dict[str, type[WorkloadSettings]] = {
    "select-only": SelectOnly,
    "simple-update": SimpleUpdate,
    "tpcb-like": TpcbLike,
    "mixed": Mixed,
    "ledger": LedgerWorkload,
    "stale-reads": StaleReads,
    "sql": CustomSql,
}
