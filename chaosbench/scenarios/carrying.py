"""Who carries a scenario's load: this process, or workers; the scenario does not see the difference."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from importlib import import_module
from typing import Protocol

import chaosbench
from chaosbench.clock import Clock
from chaosbench.distributed.engine import RemoteEngine
from chaosbench.distributed.members import Crew
from chaosbench.distributed.wire import Plan, StreamPlan
from chaosbench.engine.engine import Engine
from chaosbench.engine.session import Connect, PostgresConnect
from chaosbench.events import Event, Kind
from chaosbench.model.cluster import Address
from chaosbench.model.scenario import Spread
from chaosbench.model.workers import WorkerReport
from chaosbench.recorder.recorder import Recorder
from chaosbench.scenarios.database import Database
from chaosbench.scenarios.scenario import Scenario
from chaosbench.share import Share
from chaosbench.sinks.hub import Hub
from chaosbench.workload import Context


class Carrier(Protocol):
    """What a scenario asks of the engine, wherever that runs.

    workers:  connections that the load holds open
    broken:   set when the load cannot go on
    """

    recorder: Recorder
    broken: asyncio.Event

    @property
    def workers(self) -> int:
        """Connections that the load holds open."""
        ...

    def running(self) -> AbstractAsyncContextManager[None]:
        """Run the load while the body runs; then drain it."""
        ...

    async def connected(self) -> None:
        """Wait until every client has a connection."""
        ...

    def connected_count(self) -> int:
        """Clients that have a connection now."""
        ...

    def begin(self) -> None:
        """Let the load begin."""
        ...

    async def turn(self) -> None:
        """The warm-up is about to be over: return when a new record can begin."""
        ...

    def record_in(self, recorder: Recorder) -> None:
        """Count operations that begin from now on in this recorder."""
        ...

    def report(self) -> tuple[WorkerReport, ...]:
        """What became of each worker process; empty when there is none."""
        ...


class OneProcess(Engine):
    """The engine, in this process."""

    def __init__(self, recorder: Recorder, clock: Clock, seed: str, on_lag: Callable[[int], None]) -> None:
        super().__init__(recorder, clock, seed, on_lag)
        self.broken = asyncio.Event()

    async def turn(self) -> None:
        """A new record can begin at any time."""

    def report(self) -> tuple[WorkerReport, ...]:
        """There are no workers."""
        return ()


async def carrier(
    scenario: Scenario, database: Database, context: Context, clock: Clock, seed: str, hub: Hub, *, samples: bool
) -> Carrier:
    """The engine for this scenario, its streams added. UsageError without what several processes need."""

    def late(lag_ns: int) -> None:
        hub.say(Kind.GENERATOR_SUSPECT, lag_ms=round(lag_ns / 1e6, 1))

    recorder = Recorder(clock, scenario.windows, _nowhere)
    if scenario.spread is not None:
        return await _remote(scenario, scenario.spread, database, context, recorder, seed, late, hub, samples=samples)
    engine = OneProcess(recorder, clock, seed, late)
    for stream in scenario.streams:
        connect = await database.connector(stream)
        engine.add(stream.name, stream.settings, stream.workload.start(context), connect)
    return engine


async def _remote(
    scenario: Scenario,
    spread: Spread,
    database: Database,
    context: Context,
    recorder: Recorder,
    seed: str,
    late: Callable[[int], None],
    hub: Hub,
    *,
    samples: bool,
) -> RemoteEngine:
    streams = [
        StreamPlan(
            name=stream.name,
            settings=stream.settings,
            workload=stream.workload,
            connect=by_way_of(spread, await database.connector(stream)),
        )
        for stream in scenario.streams
    ]

    def planned(share: Share) -> Plan:
        return Plan(
            version=chaosbench.__version__,
            share=share,
            streams=tuple(streams),
            ledger_run=context.ledger.run,
            seed=seed,
            scale=scenario.scale,
            outages=bool(scenario.faults),
            samples=samples,
        )

    def lost(worker: int, address: str, why: str, in_flight: int) -> None:
        hub.say(Kind.WORKER_LOST, worker=worker, address=address, why=why, in_flight=in_flight)

    settings = [stream.settings for stream in scenario.streams]
    return RemoteEngine(
        recorder,
        recorder.clock,
        crew_of(spread),
        planned,
        connections=[one.workers for one in settings],
        shareable=min(
            (number, f"the {number} {what} of {stream.name!r}")
            for stream in scenario.streams
            for what, number in stream.divisible
        ),
        ledger=context.ledger,
        registers=context.registers,
        patience=max(one.timeout + one.deadline + one.connect_timeout for one in settings),
        on_lag=late,
        on_lost=lost,
        needs_all=spread.on_worker_lost == "fail",
    )


def crew_of(spread: Spread) -> Crew:
    """Where the workers come from. Dask is imported here, for only who wants workers needs it."""
    dask = import_module("chaosbench.distributed.dask")
    crew: Crew
    if spread.scheduler is not None:
        crew = dask.SchedulerCrew(spread.scheduler, spread.workers)
    else:
        crew = dask.LocalCrew(spread.workers)
    return crew


def by_way_of(spread: Spread, connect: Connect) -> Connect:
    """The same connection, to the address under which the workers find Pgpool."""
    if spread.proxy is None or not isinstance(connect, PostgresConnect):
        return connect
    host, _, port = spread.proxy.rpartition(":")
    return replace(connect, address=Address(host.strip("[]"), int(port)))


def _nowhere(event: Event) -> None:
    """What happens during the warm-up is nobody's business."""
