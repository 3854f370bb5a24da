"""Rows: what it costs to have the load carried by workers, and how far one and two of them get.

A closed loop of selects against the stand-in server, by the engine in this
process, by one worker and by two, in turn; then an open loop far below that, to
see what one query costs, and without load; then the coordinator's work alone
(``wide_folding``), from which the page on many workers reckons further.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import chaosbench
from bench.calling import call, stand_in
from bench.load import nobody, stream
from bench.results import Row, measured, ratios
from bench.wide_folding import folding
from chaosbench.clock import Clock
from chaosbench.distributed.dask import LocalCrew
from chaosbench.distributed.engine import RemoteEngine
from chaosbench.distributed.wire import Plan, StreamPlan
from chaosbench.engine.engine import Engine, without_gc_pauses
from chaosbench.engine.session import PostgresConnect
from chaosbench.ledger import Ledger
from chaosbench.model.cluster import Address, Login
from chaosbench.model.scenario import StreamSettings, Windows
from chaosbench.recorder.recorder import Recorder
from chaosbench.scenarios.carrying import OneProcess
from chaosbench.share import Share
from chaosbench.staleness import Registers
from chaosbench.workload import WORKLOADS, Context

CLIENTS = 64
RATE = 2000.0
IDLE = 1.0
ROUNDS = 3
_SETTLE_S = 0.5
_SPARE_S = 60.0
_NOBODY = Login("bench", "", "bench")
_WORKLOAD = "select-only"


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """What is asked: so many seconds of load by so many workers (0: by this process); a closed loop without a rate."""

    port: int
    workers: int
    seconds: float
    rate: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What was seen: operations, seconds, CPU of this process and of all workers together, clock uncertainty."""

    operations: int
    seconds: float
    own_cpu_s: float
    workers_cpu_s: float
    clock_ms: float = 0.0

    @property
    def rate(self) -> float:
        """Operations a second."""
        return self.operations / self.seconds

    @property
    def worker_us(self) -> float:
        """CPU of whoever sends the queries, in µs a query."""
        return (self.workers_cpu_s or self.own_cpu_s) / self.operations * 1e6

    @property
    def all_us(self) -> float:
        """CPU of all processes, in µs a query."""
        return (self.workers_cpu_s + self.own_cpu_s) / self.operations * 1e6


async def carried(asked: Carried) -> Cost:
    """Run the load and count for as long as was asked."""
    loop = {"clients": CLIENTS} if asked.rate is None else {"rate": f"{asked.rate}/s", "connections": CLIENTS}
    settings = stream(**loop)
    engine = _remote(asked, settings) if asked.workers else _alone(asked, settings)
    async with _loaded(engine) as recorder:
        began, own, theirs = time.monotonic(), time.process_time(), _cpu(engine)
        before = sum(tally.ok for tally in recorder.operations())
        await asyncio.sleep(asked.seconds)
        done = sum(tally.ok for tally in recorder.operations()) - before
        return Cost(
            operations=done,
            seconds=time.monotonic() - began,
            own_cpu_s=time.process_time() - own,
            workers_cpu_s=_cpu(engine) - theirs,
            clock_ms=max((one.clock_uncertainty_ms for one in engine.report()), default=0.0),
        )


@asynccontextmanager
async def _loaded(engine: OneProcess | RemoteEngine) -> AsyncIterator[Recorder]:
    async with without_gc_pauses(), engine.running():
        async with asyncio.timeout(_SPARE_S):
            await engine.connected()
        engine.begin()
        await asyncio.sleep(_SETTLE_S)
        await engine.turn()
        recorder = Recorder(engine.recorder.clock, Windows(), nobody)
        engine.record_in(recorder)
        await asyncio.sleep(_SETTLE_S)
        yield recorder


def _cpu(engine: OneProcess | RemoteEngine) -> float:
    return sum(one.cpu_s for one in engine.report())


def _connect(port: int) -> PostgresConnect:
    return PostgresConnect(Address("127.0.0.1", port), _NOBODY, "bench", 4.5)


def _alone(asked: Carried, settings: StreamSettings) -> OneProcess:
    clock = Clock()
    engine = OneProcess(Recorder(clock, Windows(), nobody), clock, "bench", lambda late_ns: None)
    _add(engine, settings, asked.port)
    return engine


def _add(engine: Engine, settings: StreamSettings, port: int) -> None:
    running = WORKLOADS[_WORKLOAD]().start(Context(scale=1, ledger=Ledger(run=0)))
    engine.add("load", settings, running, _connect(port))


def _remote(asked: Carried, settings: StreamSettings) -> RemoteEngine:
    clock = Clock()
    one = StreamPlan(name="load", settings=settings, workload=WORKLOADS[_WORKLOAD](), connect=_connect(asked.port))

    def planned(share: Share) -> Plan:
        return Plan(
            version=chaosbench.__version__,
            share=share,
            streams=(one,),
            ledger_run=1,
            seed="bench",
            scale=1,
            outages=True,
            samples=False,
        )

    return RemoteEngine(
        Recorder(clock, Windows(), nobody),
        clock,
        LocalCrew(asked.workers),
        planned,
        connections=[settings.workers],
        shareable=(settings.workers, "the connections"),
        ledger=Ledger(run=1),
        registers=Registers(run=1),
        patience=15.0,
        on_lag=lambda late_ns: None,
        on_lost=lambda *what: None,
    )


def wide(quick: bool) -> Iterator[Row]:
    """None, one and two workers in turn, each round in another order; then the coordinator's work alone."""
    seconds, rounds = (1.0, 1) if quick else (4.0, ROUNDS)
    for rate, rows in ((None, _ceilings), (RATE, _costs), (IDLE, _idle)):
        found: dict[int, list[Cost]] = {0: [], 1: [], 2: []}
        for number in range(rounds):
            turns = list(found)
            for workers in turns[number % 3 :] + turns[: number % 3]:
                with stand_in() as port:
                    asked = Carried(port=port, workers=workers, seconds=seconds, rate=rate)
                    found[workers].append(call("wide", asked, Cost, {}, seconds + _SPARE_S))
        yield from rows(found)
    yield from folding()


def _workers(number: int) -> str:
    return "1 worker" if number == 1 else f"{number} workers"


def _ceilings(found: dict[int, list[Cost]]) -> Iterator[Row]:
    alone = [cost.rate for cost in found[0]]
    for workers in (1, 2):
        rates = [cost.rate for cost in found[workers]]
        figures = {
            "one process/s": alone,
            "with workers/s": rates,
            "a query in a worker µs": [cost.worker_us for cost in found[workers]],
            "in one process µs": [cost.worker_us for cost in found[0]],
            "coordinator ms/s": [cost.own_cpu_s / cost.seconds * 1e3 for cost in found[workers]],
        }
        name = _workers(workers)
        yield measured(f"rate ceiling, {name}, against one process", ratios(rates, alone), "x", None, figures)


def _costs(found: dict[int, list[Cost]]) -> Iterator[Row]:
    alone = [cost.all_us for cost in found[0]]
    for workers in (1, 2):
        above = [cost.all_us - other for cost, other in zip(found[workers], alone, strict=True)]
        figures = {
            "one process µs": alone,
            "workers µs": [cost.worker_us for cost in found[workers]],
            "coordinator ms/s": [cost.own_cpu_s / cost.seconds * 1e3 for cost in found[workers]],
            "clock uncertainty ms": [cost.clock_ms for cost in found[workers]],
            "achieved/s": [cost.rate for cost in found[workers]],
        }
        name = _workers(workers)
        yield measured(f"CPU a query above one process, all of {name}, at {RATE:,.0f}/s", above, "µs", None, figures)


def _idle(found: dict[int, list[Cost]]) -> Iterator[Row]:
    """What is there without any load to speak of."""
    alone = [cost.own_cpu_s / cost.seconds * 1e3 for cost in found[0]]
    for workers in (1, 2):
        own = [cost.own_cpu_s / cost.seconds * 1e3 for cost in found[workers]]
        each = [cost.workers_cpu_s / cost.seconds * 1e3 / workers for cost in found[workers]]
        name = _workers(workers)
        figures = {"each worker ms/s": each, "one process ms/s": alone}
        yield measured(f"coordinator's CPU without load, {name}", own, "ms/s", None, figures)
