"""A database in memory for fast tests: it answers, fails, freezes and comes back on the test's clock."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import asyncpg
import looptime
from pyroaring import BitMap64

from chaosbench.clock import Anchor, Clock
from chaosbench.cluster import Cluster
from chaosbench.cluster.fake import FakeCluster
from chaosbench.dataset import Progress
from chaosbench.engine import Attempt, Operation, Session
from chaosbench.engine.session import Connect
from chaosbench.ledger import Ledger
from chaosbench.model.cluster import Member, RunState, Snapshot
from chaosbench.model.observation import NodeAnswer
from chaosbench.model.report import LedgerReport
from chaosbench.observers.pace import Pace
from chaosbench.observers.record import Record
from chaosbench.observers.watch import Sources
from chaosbench.outcome import OpClass, Outcome
from chaosbench.scenarios.reconcile import report_of
from chaosbench.scenarios.scenario import Scenario, Stream
from chaosbench.settled import Checkpoint, Run, within

T = TypeVar("T")

READ = Operation("read", OpClass.READ)
WRITE = Operation("write", OpClass.WRITE)

Behaviour = Callable[[], Awaitable[None]]
"""Awaited by every statement: returns when it is acknowledged, raises, or never ends."""


def in_virtual_time(main: Coroutine[Any, Any, T]) -> T:
    """Run on a loop of its own whose sleeps cost nothing; for tests that hypothesis calls many times."""
    with asyncio.Runner(loop_factory=lambda: looptime.new_event_loop(_enabled=True, noop_cycles=0)) as runner:
        return runner.run(main)


class FakeConnection:
    """What the engine needs of asyncpg's connection."""

    def __init__(self, server: FakeServer) -> None:
        self.server = server
        self.closed = False
        self.answer: asyncio.Future[None] | None = None
        self.in_transaction = False

    def is_closed(self) -> bool:
        return self.closed

    def is_in_transaction(self) -> bool:
        return self.in_transaction

    def terminate(self) -> None:
        self.closed = True
        self.server.connections.discard(self)
        if self.answer is not None:
            self.answer.cancel()

    async def statement(self, sql: str = "", *args: object) -> None:
        """Answer as the server does now, unless the connection is closed meanwhile."""
        self.server.log.append((sql, args))
        self.answer = asyncio.ensure_future(self.server.behaviour())
        try:
            await self.answer
        except asyncio.CancelledError:
            if not self.closed:
                raise
            raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation") from None
        self.server.applied.append((sql, args))

    async def execute(self, sql: str) -> None:
        await self.statement(sql)
        self.in_transaction = sql == "BEGIN"

    async def prepare(self, sql: str) -> Any:
        connection = self

        class Statement:
            async def fetchval(self, *args: object) -> None:
                await connection.statement(sql, *args)

            fetch = fetchval

            async def fetchrow(self, *args: object) -> tuple[object, ...]:
                await connection.statement(sql, *args)
                return connection.server.row(sql, args)

        return Statement()


class FakeServer:
    """A server whose behaviour the test changes while it runs."""

    def __init__(self, clock: Clock, latency: float = 0.001) -> None:
        self.clock = clock
        self.latency = latency
        self.behaviour: Behaviour = self.answers
        self.accepts = True
        self.mark = "10.0.0.1/00000001"
        self.connections: set[FakeConnection] = set()
        self.connects = 0
        self.log: list[tuple[str, tuple[object, ...]]] = []
        self.applied: list[tuple[str, tuple[object, ...]]] = []

    def row(self, sql: str, args: tuple[object, ...]) -> tuple[object, ...]:
        """What a statement returns; here what the ledger's insert does: who serves, and a WAL position."""
        return self.mark, len(self.applied) * 100

    async def answers(self) -> None:
        await self.clock.sleep(self.latency)

    async def freezes(self) -> None:
        await asyncio.Event().wait()

    def fails(self, error: BaseException) -> Behaviour:
        async def failing() -> None:
            await self.clock.sleep(self.latency)
            raise error

        return failing

    def dies(self) -> None:
        """Every connection breaks, and no new one is accepted."""
        self.accepts = False
        for connection in tuple(self.connections):
            connection.terminate()

    async def connect(self, timeout: float) -> FakeConnection:
        self.connects += 1
        await self.clock.sleep(self.latency)
        if not self.accepts:
            raise ConnectionRefusedError("connection refused")
        connection = FakeConnection(self)
        self.connections.add(connection)
        return connection


@dataclass
class FakeWorkload:
    """Reads and writes in equal parts by default; ``rows`` gives every write a ledger id."""

    operations: tuple[Operation, ...] = (READ, WRITE)
    retries: int = 0
    rows: bool = False
    setup: tuple[str, ...] = ()
    data: frozenset[str] = frozenset()
    settled: dict[int, Outcome] = field(default_factory=dict)
    given: int = 0
    kind: str = "fake"

    def start(self, context: object) -> FakeWorkload:
        return self

    def pick(self, rng: random.Random) -> int:
        return rng.randrange(len(self.operations))

    async def open(self, connection: FakeConnection, rng: random.Random) -> Session:
        workload = self

        class FakeSession:
            async def run(self, operation: int, attempt: Attempt) -> None:
                attempt.effect_sent = workload.operations[operation].op_class is OpClass.WRITE
                if workload.rows and attempt.effect_sent and not attempt.row:
                    workload.given += 1
                    attempt.row = workload.given
                await connection.statement(workload.operations[operation].name, attempt.row)
                if attempt.row:
                    workload.settled[attempt.row] = Outcome.OK

        return FakeSession()

    def settle(self, row: int, outcome: Outcome) -> None:
        self.settled[row] = outcome


class FakeLedgerRows:
    """The ledger's rows on three nodes that replay at once; ``loses`` of the database are on none of them.

    kept:     the checkpoints by node
    dropped:  how many rows each batch deleted
    lags:     nodes that do not replay
    """

    def __init__(self, server: FakeServer, database: FakeDatabase) -> None:
        self.server = server
        self.database = database
        self.there: dict[int, BitMap64] = {}
        self.kept: dict[str, dict[int, Checkpoint]] = {}
        self.dropped: list[int] = []
        self.lags: frozenset[str] = frozenset()
        self.canary = 0

    def arrive(self) -> None:
        """What clients wrote since the last look."""
        for sql, args in self.server.applied:
            if "chaosbench_ledger" in sql:
                run, row = args
                assert isinstance(run, int)
                assert isinstance(row, int)
                self.there.setdefault(run, BitMap64()).add(row)
        self.server.applied.clear()
        self.server.log.clear()

    def ids(self, node: str, run: int) -> BitMap64:
        return self.there.get(run, BitMap64()) - BitMap64(self.database.loses)

    async def replayed(self, snapshot: Snapshot, timeout: float) -> frozenset[str]:
        return frozenset({"pg1", "pg2", "pg3"}) - self.lags

    async def runs(self, node: Member, run: int, after: int, upto: int) -> tuple[Run, ...]:
        self.arrive()
        return _runs_of(within(self.ids(node.name, run), after, upto))

    async def newest(self, node: Member, run: int) -> int:
        self.arrive()
        ids = self.ids(node.name, run)
        return ids.max() if ids else 0

    async def keep(self, leader: Member, run: int, checkpoint: Checkpoint) -> None:
        for node in ("pg1", "pg2", "pg3"):
            self.kept.setdefault(node, {})[checkpoint.number] = checkpoint

    async def checkpoints(self, node: Member, run: int) -> tuple[Checkpoint, ...]:
        return tuple(self.kept.get(node.name, {}).values())

    async def drop(self, leader: Member, run: int, upto: int, most: int) -> tuple[Run, ...]:
        self.arrive()
        found = BitMap64(list(within(self.ids("pg1", run), 0, upto))[:most])
        self.there[run] = self.there.get(run, BitMap64()) - found
        if found:
            self.dropped.append(len(found))
        return _runs_of(found)

    async def tidy(self, leader: Member, most: int) -> int:
        self.canary, gone = max(0, self.canary - most), min(self.canary, most)
        return gone


def _runs_of(ids: BitMap64) -> tuple[Run, ...]:
    found: list[tuple[int, int]] = []
    for row in ids:
        if found and found[-1][1] == row - 1:
            found[-1] = (found[-1][0], row)
        else:
            found.append((row, row))
    return tuple(found)


@dataclass
class FakeDatabase:
    """The database of a whole run: one server, and tables that hold what was acknowledged."""

    server: FakeServer
    loses: frozenset[int] = frozenset()
    rows: FakeLedgerRows = field(init=False)

    def __post_init__(self) -> None:
        self.rows = FakeLedgerRows(self.server, self)

    async def prepare(self, scenario: Scenario, snapshot: Snapshot, progress: Progress) -> None:
        progress(1, 1)

    async def connector(self, stream: Stream) -> Connect:
        return self.server.connect

    async def reconcile(self, ledger: Ledger, snapshot: Snapshot) -> LedgerReport:
        self.rows.arrive()
        for node in ("pg1", "pg2", "pg3"):
            ledger.settled.missing(self.rows.kept.get(node, {}).values())
        return report_of(ledger, [ledger.check("pg1", tuple(self.rows.ids("pg1", ledger.run)))], [])

    async def versions(self, snapshot: Snapshot) -> Mapping[str, str]:
        return {"postgresql": "17"}

    def ledger_rows(self) -> FakeLedgerRows:
        return self.rows


class ClusterServer(FakeServer):
    """What clients see of a FakeCluster through its Pgpool: reads while any node runs, writes while one leads."""

    def __init__(self, cluster: FakeCluster, clock: Clock, latency: float = 0.001) -> None:
        super().__init__(clock, latency)
        self.cluster = cluster
        self.behaviour = self.follows

    async def follows(self) -> None:
        await self.clock.sleep(self.latency)
        snapshot = await self.cluster.snapshot()
        leader = snapshot.leader
        if leader is None or leader.state is not RunState.RUNNING:
            raise asyncpg.ReadOnlySQLTransactionError("cannot execute INSERT in a read-only transaction")


@asynccontextmanager
async def unobserved(cluster: Cluster, snapshot: Snapshot, clock: Clock, anchor: Anchor) -> AsyncIterator[Sources]:
    """No observers at all: phases are absent, everything else is as ever."""
    yield Sources(Pace(clock), Record())


@dataclass
class NodesAlone:
    """Of all observers only the one that asks the nodes; ``primaries`` are those that say they are one."""

    primaries: frozenset[str] = frozenset({"pg1"})

    @asynccontextmanager
    async def observe(
        self, cluster: Cluster, snapshot: Snapshot, clock: Clock, anchor: Anchor
    ) -> AsyncIterator[Sources]:
        record = Record()

        async def run() -> None:
            while True:
                asked_ns = clock.now()
                await clock.sleep(0.002)
                for node in ("pg1", "pg2", "pg3"):
                    record.answered(NodeAnswer(node, asked_ns, clock.now(), node in self.primaries, node))
                await clock.sleep(0.02 if record.doubtful else 1.0)

        yield Sources(Pace(clock), record, runs={"nodes": run})
