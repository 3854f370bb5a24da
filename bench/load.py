"""The two loads that are compared: the engine as a run has it, and a bare asyncpg loop that records nothing.

Both run on uvloop, on a server on 127.0.0.1, with the login of the
environment. Counting begins when every client is connected and warm.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import asyncpg
from pydantic import TypeAdapter

from chaosbench.clock import Clock
from chaosbench.engine.engine import CONNECTS_AT_ONCE, Engine, without_gc_pauses
from chaosbench.engine.session import PostgresConnect
from chaosbench.errors import UndeterminedError
from chaosbench.events import Event, Kind
from chaosbench.ledger import Ledger
from chaosbench.model.cluster import Address, Login
from chaosbench.model.scenario import StreamSettings, Windows
from chaosbench.pgbench import ACCOUNTS, TELLERS
from chaosbench.recorder.recorder import Recorder
from chaosbench.recorder.samples import Samples
from chaosbench.scenarios.observe import ticking
from chaosbench.scenarios.stopping import stopped
from chaosbench.sinks.hub import Hub
from chaosbench.sinks.table import Setting, sinks_of
from chaosbench.workload import WORKLOADS, Context

_SETTINGS = TypeAdapter(StreamSettings)
SELECT = "SELECT abalance FROM pgbench_accounts WHERE aid = $1"
WARM_UP_S = 1.0
CONNECT_S = 60.0
_TIMEOUT = "60s"
"""Clients that wait for one row wait for seconds, and the others that are compared have no limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is asked of either.

    seconds:  how long it is counted
    scale:    of pgbench's tables
    files:    (the engine) with the files of a run's directory written, as in a run; without: the recorder alone
    """

    port: int
    workload: str
    clients: int
    seconds: float
    scale: int = 1
    rate: float | None = None
    files: bool = True


def stream(**written: object) -> StreamSettings:
    """A stream's settings as a scenario file has them, with units."""
    return _SETTINGS.validate_python(written)


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What was done, in how long, with how much CPU of this process."""

    operations: int
    seconds: float
    cpu_s: float

    @property
    def rate(self) -> float:
        """Operations a second."""
        return self.operations / self.seconds

    @property
    def cpu_us(self) -> float:
        """CPU an operation, in µs."""
        return self.cpu_s / self.operations * 1e6


def login() -> Login:
    """The login that the environment names, as it does for every other driver."""
    return Login(os.environ["PGUSER"], os.environ["PGPASSWORD"], os.environ["PGDATABASE"])


async def count(seconds: float, operations: Callable[[], int]) -> Taken:
    """Count for so many seconds."""
    began, cpu_began, done_before = time.monotonic(), time.process_time(), operations()
    await asyncio.sleep(seconds)
    done = operations() - done_before
    return Taken(operations=done, seconds=time.monotonic() - began, cpu_s=time.process_time() - cpu_began)


@contextmanager
def files_of_a_run(clock: Clock, wanted: bool) -> Iterator[Hub]:
    """The sinks of a run, writing into a directory that is removed afterwards; or none."""
    with TemporaryDirectory() as directory, Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        setting = Setting(clock=clock, anchor=clock.anchor(), stream=nowhere, directory=Path(directory))
        hub = Hub(sinks_of(setting) if wanted else [], clock)
        try:
            yield hub
        finally:
            hub.close()


def nobody(event: Event) -> None:
    """Nobody is told."""


@asynccontextmanager
async def running(
    engine: Engine, settings: StreamSettings, asked: Load, clock: Clock, samples: Samples | None = None
) -> AsyncIterator[Recorder]:
    """The engine under this load, past its warm-up, for the length of the block; then drained. What it counts in."""
    workload = WORKLOADS[asked.workload]().start(Context(scale=asked.scale, ledger=Ledger(run=0)))
    connect = PostgresConnect(Address("127.0.0.1", asked.port), login(), "bench", settings.timeout * 0.9)
    engine.add("load", settings, workload, connect)
    with files_of_a_run(clock, asked.files) as hub:
        showing = asyncio.create_task(ticking(engine, hub, clock))
        try:
            async with without_gc_pauses(), engine.running():
                async with asyncio.timeout(CONNECT_S):
                    await engine.connected()
                engine.begin()
                await asyncio.sleep(WARM_UP_S)
                recorder = Recorder(clock, Windows(), hub.emit, samples)
                engine.record_in(recorder)
                hub.say(Kind.STAGE, name="load", detail="")
                yield recorder
        finally:
            await stopped(showing)


def succeeded(recorder: Recorder) -> int:
    """Operations that ended ok."""
    return sum(tally.ok for tally in recorder.operations())


def only_successes(recorder: Recorder) -> None:
    """UndeterminedError when anything ended otherwise: a figure of a load that fails says nothing."""
    reasons = {reason for tally in recorder.operations() for _, reason in tally.reasons}
    if reasons:
        raise UndeterminedError(f"the load failed: {', '.join(sorted(reasons))}")


async def engine(asked: Load) -> Taken:
    """The engine: closed loop, or open loop when a rate is asked for."""
    clock = Clock()
    warming = Recorder(clock, Windows(), nobody)
    made = Engine(warming, clock, "bench", lambda late_ns: None)
    closed, open_ = {"clients": asked.clients}, {"rate": f"{asked.rate}/s", "connections": asked.clients}
    settings = stream(timeout=_TIMEOUT, **(closed if asked.rate is None else open_))
    async with running(made, settings, asked, clock) as recorder:
        # What began in the warm-up is counted there: with 250 clients that wait for one row, a seventh of all.
        taken = await count(asked.seconds, lambda: succeeded(warming) + succeeded(recorder))
    only_successes(warming)
    only_successes(recorder)
    return taken


@dataclass(frozen=True, slots=True)
class Client:
    """One client of the bare loop.

    done:      counts the rounds of all, each at its number
    prepared:  waited for once this one's statements are prepared: all begin together, as the engine's do
    """

    connection: Any
    number: int
    asked: Load
    done: list[int]
    prepared: asyncio.Barrier

    def draw(self) -> Callable[[], float]:
        """A source of random numbers of its own."""
        return random.Random(self.number).random


async def bare(asked: Load) -> Taken:
    """What one would write by hand: a loop for each connection, which counts its rounds and records nothing else.

    With a rate each client sleeps until its next turn (select-only).
    """
    connecting = asyncio.Semaphore(CONNECTS_AT_ONCE)
    who = login()

    async def connect() -> Any:
        async with connecting:
            return await asyncpg.connect(
                host="127.0.0.1",
                port=asked.port,
                user=who.user,
                password=who.password,
                database=who.database,
                ssl=False,
            )

    loop = LOOPS[asked.workload] if asked.rate is None else _paced
    done, prepared = [0] * asked.clients, asyncio.Barrier(asked.clients + 1)
    async with asyncio.timeout(CONNECT_S):
        connections = await asyncio.gather(*(connect() for _ in range(asked.clients)))
    async with without_gc_pauses():
        tasks = [
            asyncio.create_task(loop(Client(connection, number, asked, done, prepared)))
            for number, connection in enumerate(connections)
        ]
        async with asyncio.timeout(CONNECT_S):
            await prepared.wait()
        await asyncio.sleep(WARM_UP_S)
        taken = await count(asked.seconds, lambda: sum(done))
        if any(task.done() for task in tasks):
            raise UndeterminedError("a client of the bare loop failed")
        for connection in connections:
            connection.terminate()
        await asyncio.gather(*tasks, return_exceptions=True)
    return taken


async def _select_only(client: Client) -> None:
    fetch = (await client.connection.prepare(SELECT)).fetchval
    draw, accounts, done, number = client.draw(), ACCOUNTS * client.asked.scale, client.done, client.number
    await client.prepared.wait()
    while True:
        await fetch(int(draw() * accounts) + 1)
        done[number] += 1


async def _paced(client: Client) -> None:
    rate, clients = client.asked.rate, client.asked.clients
    assert rate is not None
    fetch = (await client.connection.prepare(SELECT)).fetchval
    draw, accounts, now = client.draw(), ACCOUNTS * client.asked.scale, asyncio.get_running_loop().time
    await client.prepared.wait()
    due = now() + client.number / rate
    while True:
        await asyncio.sleep(due - now())
        await fetch(int(draw() * accounts) + 1)
        client.done[client.number] += 1
        due += clients / rate


async def _tpcb_like(client: Client) -> None:
    connection, scale, done, number = client.connection, client.asked.scale, client.done, client.number
    account, select, teller, branch, history = [
        (await connection.prepare(sql)).fetchval
        for sql in (
            "UPDATE pgbench_accounts SET abalance = abalance + $1 WHERE aid = $2",
            SELECT,
            "UPDATE pgbench_tellers SET tbalance = tbalance + $1 WHERE tid = $2",
            "UPDATE pgbench_branches SET bbalance = bbalance + $1 WHERE bid = $2",
            "INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES ($1, $2, $3, $4, CURRENT_TIMESTAMP)",
        )
    ]
    draw, execute = client.draw(), connection.execute
    await client.prepared.wait()
    while True:
        aid, tid = int(draw() * ACCOUNTS * scale) + 1, int(draw() * TELLERS * scale) + 1
        bid, delta = int(draw() * scale) + 1, int(draw() * 10_001) - 5_000
        await execute("BEGIN")
        await account(delta, aid)
        await select(aid)
        await teller(delta, tid)
        await branch(delta, bid)
        await history(tid, bid, aid, delta)
        await execute("COMMIT")
        done[number] += 1


LOOPS: dict[str, Callable[[Client], Coroutine[Any, Any, None]]] = {"select-only": _select_only, "tpcb-like": _tpcb_like}
