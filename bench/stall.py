"""Rows: ten thousand operations in flight against a server that stalls and is then released."""

from __future__ import annotations

import asyncio
import os
import resource
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from bench.calling import call, stand_in
from bench.load import SELECT, nobody, stream
from bench.results import Row, Target, measured, ratios
from chaosbench.clock import NS, Clock
from chaosbench.engine.engine import CONNECTS_AT_ONCE, Engine, without_gc_pauses
from chaosbench.engine.session import PostgresConnect
from chaosbench.errors import PreflightError, UndeterminedError
from chaosbench.ledger import Ledger
from chaosbench.model.cluster import Address, Login
from chaosbench.model.scenario import Windows
from chaosbench.recorder.recorder import Recorder
from chaosbench.workload import WORKLOADS, Context

IN_FLIGHT = 10_000
ARRIVALS_PER_S = 5_000
MEMORY = Target("<=", 300.0)
ACCOUNTED = Target(">=", 1.0)
DRAIN = Target("<=", 1.0)
_CONNECT_S = 120.0
_PATIENCE_S = 120.0
_LOOK_S = 0.001
_NOBODY = Login("bench", "", "bench")
_SPARE_FILES = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Stalled:
    """What is asked: so many operations at the stand-in behind that port."""

    port: int
    operations: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Drained:
    """What was seen.

    in_flight:  operations that the client counted in flight at the height of the stall; ``held``: that the server held
    ok:         operations that ended well afterwards; ``left``: that the client still counts in flight
    rss_mb:     resident memory at the height of the stall, in 10^6 bytes; ``idle_mb``: before the first connection
    drain_s:    from the order to release until the last answer was counted
    """

    in_flight: int
    held: int
    ok: int
    left: int
    rss_mb: float
    idle_mb: float
    drain_s: float


def resident_mb() -> float:
    """Resident memory of this process, in 10^6 bytes."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / 1e6


def room_for(files: int) -> None:
    """Lift this process's limit on open files; PreflightError when the system does not allow it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = files + _SPARE_FILES
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise PreflightError(f"{files} connections need {wanted} open files, and the limit is {hard}: see `ulimit -Hn`")
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


@asynccontextmanager
async def control(port: int) -> AsyncIterator[Any]:
    """A connection for the stand-in's own commands."""
    connection = await asyncpg.connect(host="127.0.0.1", port=port, user="bench", database="bench", ssl=False)
    try:
        yield connection
    finally:
        connection.terminate()


async def _held(steering: Any) -> int:
    return int((await steering.execute("COUNT")).split()[2])


async def _until(done: Callable[[], bool]) -> None:
    async with asyncio.timeout(_PATIENCE_S):
        while not done():  # noqa: ASYNC110 - an event would cost something at every operation
            await asyncio.sleep(_LOOK_S)


async def engine(asked: Stalled) -> Drained:
    """The engine: an open loop whose every arrival finds a connection of its own."""
    room_for(asked.operations)
    idle, clock = resident_mb(), Clock()
    recorder = Recorder(clock, Windows(), nobody)
    made = Engine(recorder, clock, "bench", lambda late_ns: None)
    ramp = (asked.operations - 1) / ARRIVALS_PER_S  # one more arrives where the ramp ends; then none for minutes
    settings = stream(
        rate=f"{ARRIVALS_PER_S}/s",
        stages=[{"over": f"{ramp}s", "to": f"{ARRIVALS_PER_S}/s"}, {"over": "0s", "to": "1/h"}],
        connections=asked.operations,
        timeout=f"{_PATIENCE_S}s",
    )
    workload = WORKLOADS["select-only"]().start(Context(scale=1, ledger=Ledger(run=0)))
    made.add("load", settings, workload, PostgresConnect(Address("127.0.0.1", asked.port), _NOBODY, "bench", 100.0))
    (tally,) = recorder.operations()
    async with control(asked.port) as steering, without_gc_pauses(), made.running():
        async with asyncio.timeout(_CONNECT_S):
            await made.connected()
        await steering.execute("STALL")
        made.begin()
        await _until(lambda: tally.attempted >= asked.operations)
        await asyncio.sleep(1)
        in_flight, held, rss = made.in_flight, await _held(steering), resident_mb()
        began = clock.now()
        await steering.execute("RELEASE")
        await _until(lambda: tally.ok >= asked.operations)
        drained_ns = clock.now() - began
        return Drained(
            in_flight=in_flight, held=held, ok=tally.ok, left=made.in_flight + tally.in_flight,
            rss_mb=rss, idle_mb=idle, drain_s=drained_ns / NS,
        )  # fmt: skip


async def bare(asked: Stalled) -> Drained:
    """A bare asyncpg loop: a task a connection, one query each."""
    room_for(asked.operations)
    idle, clock = resident_mb(), Clock()
    connecting, done = asyncio.Semaphore(CONNECTS_AT_ONCE), [0]

    async def connect() -> Any:
        async with connecting:
            connection = await asyncpg.connect(
                host="127.0.0.1", port=asked.port, user="bench", database="bench", ssl=False
            )
            return (await connection.prepare(SELECT)).fetchval

    async def query(fetch: Any) -> None:
        await fetch(1)
        done[0] += 1

    async with control(asked.port) as steering:
        async with asyncio.timeout(_CONNECT_S):
            fetches = await asyncio.gather(*(connect() for _ in range(asked.operations)))
        async with without_gc_pauses():
            await steering.execute("STALL")
            tasks = [asyncio.create_task(query(fetch)) for fetch in fetches]
            await asyncio.sleep(3)
            held, rss = await _held(steering), resident_mb()
            began = clock.now()
            await steering.execute("RELEASE")
            await _until(lambda: done[0] >= asked.operations)
            drained_ns = clock.now() - began
            await asyncio.gather(*tasks)
    return Drained(
        in_flight=asked.operations, held=held, ok=done[0], left=0, rss_mb=rss, idle_mb=idle, drain_s=drained_ns / NS
    )


def stall(quick: bool) -> Iterator[Row]:
    """Engine and bare loop in turn, each time against a fresh stand-in."""
    operations = 1_000 if quick else IN_FLIGHT
    found: dict[str, list[Drained]] = {"stalled-engine": [], "stalled-bare": []}
    room_for(operations)
    for number in range(1 if quick else 3):
        for name in sorted(found, reverse=bool(number % 2)):
            with stand_in() as port:
                found[name].append(call(name, Stalled(port=port, operations=operations), Drained, {}, 2 * _PATIENCE_S))
    ours, theirs = found["stalled-engine"], found["stalled-bare"]
    if any(one.held != operations for one in (*ours, *theirs)):
        raise UndeterminedError("the stand-in did not hold every operation: the stall was not one")
    figures = {
        "before MB": [one.idle_mb for one in ours],
        "bare loop MB": [one.rss_mb for one in theirs],
    }
    yield measured(f"{operations} in flight: resident memory", [one.rss_mb for one in ours], "MB", MEMORY, figures)
    shares = [min(one.in_flight, one.ok) / operations if not one.left else 0.0 for one in ours]
    figures = {
        "in flight": [one.in_flight for one in ours],
        "held by the server": [one.held for one in ours],
        "ok": [one.ok for one in ours],
        "left": [one.left for one in ours],
    }
    yield measured("... accounted for, in flight and after the release", shares, "of all", ACCOUNTED, figures)
    mine, other = [one.drain_s for one in ours], [one.drain_s for one in theirs]
    figures = {"chaosbench s": mine, "bare loop s": other}
    yield measured("... time to drain, against the bare loop", ratios(mine, other), "x", DRAIN, figures)
