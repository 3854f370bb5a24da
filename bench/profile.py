"""Where the time of the hot path goes: each piece of it alone, and the whole, on this machine.

    python -m bench.profile

Pieces are the engine's own code, called as the engine calls it. Alone, each is
called again and again, and the whole is the engine and a bare loop around a
session that only gives way once. In its place, a piece is added to a bare
asyncpg loop against the stand-in, and the whole is the engine there. Everything
is CPU time of this process. Prints a table for the docs.
"""

from __future__ import annotations

import asyncio
import os
import random
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import asyncpg
import uvloop

from bench.alternating import Turns, alternating
from bench.calling import stand_in
from bench.load import SELECT, nobody, stream
from chaosbench.clock import Clock
from chaosbench.engine import Attempt
from chaosbench.engine.engine import Engine
from chaosbench.engine.source import Book, ClosedSource
from chaosbench.engine.statement import Statement, prepared
from chaosbench.model.scenario import Windows
from chaosbench.pgbench import READ
from chaosbench.recorder.recorder import Recorder
from chaosbench.workload import Running

ROUNDS, REPEATS, CLIENTS, TURNS = 15, 50_000, 8, 25
_SLICE_S = 0.2
SAVED = "saved: what asyncpg's `fetchval` does before its protocol gets a query"


class GivesWay:
    """A connection whose queries take one turn of the loop and nothing else."""

    def is_closed(self) -> bool:
        return False

    def is_in_transaction(self) -> bool:
        return False

    def terminate(self) -> None: ...

    async def fetch(self, account: int) -> None:
        await asyncio.sleep(0)


async def _connect(timeout: float) -> GivesWay:
    return GivesWay()


async def _opener(connection: Any, rng: random.Random) -> Any:
    fetch, draw = connection.fetch, rng.random

    async def call(attempt: Attempt) -> None:
        await fetch(int(draw() * 100_000) + 1)

    return call


def _workload() -> Running:
    return Running((READ, 1.0, _opener))


def pieces(connection: Any) -> dict[str, Callable[[], object]]:
    """What the engine does for every query besides waiting for it; ``connection`` is one of asyncpg."""
    clock = Clock()
    recorder = Recorder(clock, Windows(), nobody)
    workload = _workload()
    source = ClosedSource(Book("load", workload, recorder), workload, random.Random(1), clock, 0.0)
    source.begin()
    (tally,) = recorder.operations()
    now = clock.now
    began = now()

    def record() -> None:
        tally.record_ok(began, began + 100, began + 1_000_000)

    return {
        "the next operation: which, when it is meant to start, where it counts": source.ready,
        "is the connection still there?": connection.is_closed,
        "two readings of the clock": lambda: (now(), now()),
        "recording: noted, and folded in with others": record,
    }


def cost_us(call: Callable[[], object]) -> float:
    """CPU of one call, the loop around it left out."""

    def nothing() -> None: ...

    def spent(what: Callable[[], object]) -> float:
        began = time.process_time_ns()
        for _ in range(REPEATS):
            what()
        return (time.process_time_ns() - began) / REPEATS / 1000

    return min(spent(call) for _ in range(ROUNDS)) - min(spent(nothing) for _ in range(ROUNDS))


async def giving_way() -> tuple[float, float]:
    """µs a query of a bare loop and of the engine, around a session that only gives way."""
    plain, whole = [], []
    for _ in range(ROUNDS):
        plain.append(await _bare_giving_way())
        whole.append(await _engine_giving_way())
    return min(plain), min(whole)


async def _bare_giving_way() -> float:
    done, going = [0] * CLIENTS, True

    async def client(number: int) -> None:
        fetch, draw = GivesWay().fetch, random.Random(number).random
        while going:
            await fetch(int(draw() * 100_000) + 1)
            done[number] += 1

    tasks = [asyncio.create_task(client(number)) for number in range(CLIENTS)]
    found = await _measured(lambda: sum(done))
    going = False
    await asyncio.gather(*tasks)
    return found


async def _engine_giving_way() -> float:
    clock = Clock()
    recorder = Recorder(clock, Windows(), nobody)
    made = Engine(recorder, clock, "profile", lambda late_ns: None)
    made.add("load", stream(clients=CLIENTS), _workload(), _connect)
    (tally,) = recorder.operations()
    async with made.running():
        await made.connected()
        made.begin()
        return await _measured(lambda: tally.ok)


async def _measured(done: Callable[[], int]) -> float:
    await asyncio.sleep(_SLICE_S / 4)
    before, began = done(), time.process_time()
    await asyncio.sleep(_SLICE_S)
    return (time.process_time() - began) / (done() - before) * 1e6


async def in_place(port: int, parts: dict[str, Callable[[], object]]) -> dict[str, float]:
    """What each piece adds to a query of a bare asyncpg loop: between two queries its code and data are in no cache.
    And what is saved by going to asyncpg's protocol at once.

    All in one process, in turn, many times; the median of the differences.
    """
    connections = [
        await asyncpg.connect(host="127.0.0.1", port=port, user="bench", database="bench", ssl=False)
        for _ in range(CLIENTS)
    ]
    public = [(await each.prepare(SELECT)).fetchval for each in connections]
    short = [await prepared(each, SELECT) for each in connections]
    done, going = [0] * CLIENTS, [True]

    async def client(number: int, piece: Callable[[], object], fetch: Statement) -> None:
        draw = random.Random(number).random
        while going[0]:
            piece()
            await fetch(int(draw() * 100_000) + 1)
            done[number] += 1

    async def turn(piece: Callable[[], object], fetches: Sequence[Statement]) -> float:
        going[0] = True
        tasks = [asyncio.create_task(client(number, piece, fetches[number])) for number in range(CLIENTS)]
        found = await _measured(lambda: sum(done))
        going[0] = False
        await asyncio.gather(*tasks)
        return found

    def nothing() -> None: ...

    found: dict[str, list[float]] = {name: [] for name in (*parts, SAVED)}
    for _ in range(TURNS):
        plain = await turn(nothing, public)
        found[SAVED].append(await turn(nothing, short) - plain)
        for name, piece in parts.items():
            found[name].append(await turn(piece, public) - plain)
    for each in connections:
        each.terminate()
    return {name: statistics.median(values) for name, values in found.items()}


async def measure(port: int) -> list[tuple[str, float | None, float | None]]:
    """Every line of the table: what, µs alone, µs in its place."""
    connection = await asyncpg.connect(host="127.0.0.1", port=port, user="bench", database="bench", ssl=False)
    parts = pieces(connection)
    alone = {name: cost_us(call) for name, call in parts.items()}
    placed = await in_place(port, parts)
    connection.terminate()
    plain, whole = await giving_way()
    before = os.times()
    pairs = await alternating(Turns(port=port, clients=CLIENTS, seconds=_SLICE_S, pairs=2 * TURNS))
    after = os.times()
    kernel = (after.system - before.system) / (after.system - before.system + after.user - before.user)
    bare_us = statistics.median(one for one, _ in pairs)
    above_us = statistics.median(both - one for one, both in pairs)
    rest = "the rest: the worker's loop, two coroutines more between it and the driver"
    return [
        *((name, alone[name], placed[name]) for name in parts),
        (rest, whole - plain - sum(alone.values()), None),
        ("**all of it**", whole - plain, above_us - placed[SAVED]),
        (SAVED, None, placed[SAVED]),
        ("**the engine above a bare loop**", None, above_us),
        ("a bare loop: random number, counter; in its place: driver, event loop, kernel", plain, bare_us),
        ("... of which in the kernel", None, bare_us * kernel),
    ]


def main() -> None:
    """Print the table."""
    os.environ |= {"PGUSER": "bench", "PGPASSWORD": "", "PGDATABASE": "bench"}
    with stand_in() as port:
        lines = uvloop.run(measure(port))
    print("| what | µs alone | µs in its place |\n| --- | --- | --- |")
    for name, alone, placed in lines:
        print(f"| {name} | {_shown(alone, 2)} | {_shown(placed, 1)} |")


def _shown(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


if __name__ == "__main__":
    main()
