"""Engine and bare loop in one process, on connections that stay open, in turn many times: what does the engine add?

Two processes differ by more than what is looked for here: where their memory
lies, and who else was running meanwhile. So both are there all the time, and a
gate lets one of them run. It costs both the same.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import asyncpg

from bench.load import CONNECT_S, SELECT, files_of_a_run, login, nobody, only_successes, stream
from chaosbench.clock import Clock
from chaosbench.engine import Attempt
from chaosbench.engine.engine import Engine, without_gc_pauses
from chaosbench.engine.session import PostgresConnect
from chaosbench.engine.statement import prepared
from chaosbench.events import Kind
from chaosbench.model.cluster import Address
from chaosbench.model.scenario import Windows
from chaosbench.pgbench import ACCOUNTS, READ, Call
from chaosbench.recorder.recorder import Recorder
from chaosbench.workload import Running

_SETTLE_S = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Turns:
    """What is asked.

    seconds:  of each turn
    pairs:    how often both take their turn
    files:    the engine has the files of a run's directory to write: a tick in each of its turns of a second
    """

    port: int
    clients: int
    seconds: float
    pairs: int
    files: bool = False


class Gate:
    """Lets queries through, or not."""

    def __init__(self) -> None:
        self.shut = True
        self._opened = asyncio.Event()

    def open(self) -> None:
        """From now on."""
        self.shut = False
        self._opened.set()

    def close(self) -> None:
        """What is under way ends; nothing begins."""
        self.shut = True
        self._opened.clear()

    async def wait(self) -> None:
        """Until it opens."""
        await self._opened.wait()


async def alternating(asked: Turns) -> list[tuple[float, float]]:
    """CPU a query of the bare loop and of the engine, in µs, turn by turn."""
    clock, gates, done = Clock(), (Gate(), Gate()), [0] * asked.clients
    recorder = Recorder(clock, Windows(), nobody)
    engine = Engine(recorder, clock, "bench", lambda late_ns: None)
    connect = PostgresConnect(Address("127.0.0.1", asked.port), login(), "bench", 3600.0)
    engine.add("load", stream(clients=asked.clients, timeout="1h"), Running((READ, 1.0, _select(gates[1]))), connect)
    (tally,) = recorder.operations()
    async with AsyncExitStack() as stack, without_gc_pauses(), engine.running():
        hub = stack.enter_context(files_of_a_run(clock, asked.files))
        hub.say(Kind.STAGE, name="load", detail="")
        async with asyncio.timeout(CONNECT_S):
            connections = [await connect(5.0) for _ in range(asked.clients)]
            await engine.connected()
        engine.begin()
        bare = [asyncio.create_task(_bare(*one, gates[0], done)) for one in enumerate(connections)]
        counts: tuple[Callable[[], int], ...] = (lambda: sum(done), lambda: tally.ok)
        ticks: tuple[Callable[[], None], ...] = (lambda: None, lambda: hub.tick(recorder))
        found = []
        for number in range(asked.pairs):
            pair = [0.0, 0.0]
            for which in (0, 1) if number % 2 else (1, 0):
                gates[which].open()
                pair[which] = await _turn(asked.seconds, counts[which], ticks[which])
                gates[which].close()
                await asyncio.sleep(_SETTLE_S)
            found.append((pair[0], pair[1]))
        for connection in connections:
            connection.terminate()
        for task in bare:
            task.cancel()
        await asyncio.gather(*bare, return_exceptions=True)
        gates[1].open()
    only_successes(recorder)
    return found


async def _turn(seconds: float, done: Callable[[], int], tick: Callable[[], None]) -> float:
    await asyncio.sleep(_SETTLE_S)
    before, began = done(), time.process_time()
    await asyncio.sleep(seconds / 2)
    tick()
    await asyncio.sleep(seconds / 2)
    return (time.process_time() - began) / (done() - before) * 1e6


def _select(gate: Gate) -> Callable[[Any, random.Random], Any]:
    """select-only as the workload has it, behind the gate."""

    async def opener(connection: asyncpg.Connection[Any], rng: random.Random) -> Call:
        fetch = await prepared(connection, SELECT)
        draw = rng.random

        async def call(attempt: Attempt) -> None:
            if gate.shut:
                await gate.wait()
            await fetch(int(draw() * ACCOUNTS) + 1)

        return call

    return opener


async def _bare(number: int, connection: Any, gate: Gate, done: list[int]) -> None:
    fetch = (await connection.prepare(SELECT)).fetchval
    draw = random.Random(number).random
    while True:
        if gate.shut:
            await gate.wait()
        await fetch(int(draw() * ACCOUNTS) + 1)
        done[number] += 1
