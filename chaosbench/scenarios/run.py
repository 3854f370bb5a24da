"""One scenario, from a healthy cluster to its verdict.

1.  Wait until the cluster is whole: every member runs, one leader, all replicas stream, Pgpool agrees.
2.  Check what the load needs of Pgpool; make the tables that are missing, and let the replicas have them.
3.  Start the load; wait until every client is connected; warm up. Nothing of that is in the figures.
4.  Begin a new record. From here every operation counts, from its intended start.
5.  Inject each fault at its time, once its conditions hold and it gets along with those in place; resolve its
    target then, hold it, heal it, and tell of it when it is over. The load never stops. A soak keeps on disk what it
    takes to go on here after an end of chaosbench itself.
6.  When the time is over: no more arrivals; what is under way ends, or is given up as unknown.
7.  Wait until the cluster is whole again. If it does not get there, that is a result too.
8.  Compare the ledger with what every node holds.
9.  Put the summary together and hold the expectations against it.
10. Whatever went wrong on the way: faults are healed first, and what was measured is kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from chaosbench.clock import Anchor, Clock
from chaosbench.cluster import Cluster
from chaosbench.engine.engine import without_gc_pauses
from chaosbench.errors import ClusterUnavailable
from chaosbench.events import Kind
from chaosbench.injectors.injection import Hands
from chaosbench.injectors.record import Journal, Unwritten
from chaosbench.model.cluster import Snapshot
from chaosbench.model.containers import ContainerUse
from chaosbench.model.report import LedgerReport, Summary
from chaosbench.observers.watch import Sources, Watch
from chaosbench.recorder.recorder import Recorder
from chaosbench.recorder.samples import Samples
from chaosbench.scenarios.afterwards import heal_again
from chaosbench.scenarios.carrying import Carrier, carrier
from chaosbench.scenarios.database import Database
from chaosbench.scenarios.environment import environment
from chaosbench.scenarios.faults import Faults
from chaosbench.scenarios.keeping import Keeping
from chaosbench.scenarios.measuring import healthy, ledger_report, measure, recovered
from chaosbench.scenarios.observe import Observer, ticking
from chaosbench.scenarios.plan import first_faults
from chaosbench.scenarios.preflight import require_room
from chaosbench.scenarios.report import Measured, summarise
from chaosbench.scenarios.scenario import Scenario
from chaosbench.scenarios.stopping import sleep_or_stop, stopped, unless_stopped
from chaosbench.sinks.hub import Hub
from chaosbench.staleness import Registers
from chaosbench.units import finite, lasting
from chaosbench.workload import Context

HEALTHY_S = 120.0
CONNECT_S = 60.0

Observe = Callable[[Cluster, Snapshot, Clock, Anchor], AbstractAsyncContextManager[Sources]]
"""Makes the observers of one scenario."""


@dataclass(frozen=True, slots=True)
class Bench:
    """What every scenario of a run shares.

    journal:     where faults are written down before they are injected
    samples:     keep a row of every operation
    containers:  what the members' containers use now
    directory:   where the scenario's results go; a soak that left its state there is gone on with
    """

    cluster: Cluster
    database: Database
    hub: Hub
    clock: Clock
    anchor: Anchor
    seed: int
    stop: asyncio.Event
    observe: Observe
    journal: Journal = field(default_factory=Unwritten)
    samples: bool = False
    scenario_file: str = ""
    containers: Callable[[], Mapping[str, ContainerUse]] = dict
    directory: Path | None = None


@dataclass(slots=True)
class _Load:
    """The load of one scenario, and what watches it."""

    engine: Carrier
    observer: Observer
    ended_ns: int = 0


async def run_scenario(scenario: Scenario, bench: Bench) -> Summary:
    """Run one scenario; see the module's docstring.

    ``bench.stop`` ends the measurement early: faults are healed, the summary is
    made of what there is. Raises UndeterminedError when it could not even begin.
    Cancelled, it heals every fault and lets the cancellation go on.
    """
    say, clock = bench.hub.say, bench.clock
    say(
        Kind.SCENARIO_STARTED,
        scenario=scenario.name,
        description=scenario.description,
        duration_s=finite(scenario.duration),
        warm_up_s=scenario.warm_up,
        streams=[stream.name for stream in scenario.streams],
        faults=first_faults(scenario, bench.seed),
        expectations=[{"metric": one.metric, "limit": one.text} for one in scenario.expectations],
    )
    keeping = Keeping(scenario, bench)
    snapshot = await unless_stopped(healthy(bench, HEALTHY_S, "health"), bench.stop)
    await require_room(scenario, bench.cluster)
    say(Kind.STAGE, name="data", detail=f"scale {scenario.scale}")
    await unless_stopped(bench.database.prepare(scenario, snapshot, _progress(bench)), bench.stop)
    ledger = await keeping.ledger(snapshot)
    context = Context(scale=scenario.scale, ledger=ledger, registers=Registers(ledger.run), now=clock.now)
    async with _watched(bench, snapshot) as watch:
        async with without_gc_pauses(), _load(scenario, bench, context, snapshot) as load:
            watch.tell(load.observer.double_primary, ledger.servings.named)
            await unless_stopped(_connected(load.engine, bench), bench.stop)
            load.engine.begin()
            say(Kind.STAGE, name="warm_up", detail=f"{scenario.warm_up:g} s")
            await sleep_or_stop(scenario.warm_up, bench.stop)
            await load.engine.turn()
            samples = Samples() if bench.samples else None
            recorder = Recorder(clock, scenario.windows, bench.hub.emit, samples, keeping.elapsed_ns)
            recorder.leader = load.observer.leader
            load.engine.record_in(recorder)
            watch.follow(recorder)
            ledger.started_ns = recorder.started_ns
            context.registers.begin()
            hands = Hands(bench.cluster, clock, bench.journal)
            faults = Faults(scenario, hands, recorder, bench.hub, bench.seed, watch)

            def measured(end_ns: int, rows: LedgerReport | None) -> Measured:
                return Measured(
                    scenario=scenario,
                    seed=bench.seed,
                    anchor=bench.anchor,
                    recorder=keeping.figures(),
                    load_ended_ns=end_ns,
                    finished_ns=clock.now(),
                    watch=watch,
                    faults=tuple(faults.records),
                    earlier=keeping.reports,
                    leader_after=recorder.leader,
                    ledger=rows,
                    consistency=keeping.consistency(),
                    whole_again=True,
                    interrupted=False,
                    warnings=tuple(load.observer.warnings),
                    environment={},
                    scenario_file=bench.scenario_file,
                    soak=keeping.report(rows),
                )

            told = load.observer.warnings
            keeping.begin(context, recorder, faults, watch, told, lambda rows: summarise(measured(clock.now(), rows)))
            say(Kind.STAGE, name="load", detail=lasting(scenario.duration))
            async with keeping.running():
                interrupted = await measure(keeping.left, faults, recorder, bench, load.engine.broken)
            say(Kind.STAGE, name="drain", detail="")
        recorder.finish()
        bench.hub.tick(recorder)  # what has ended since the last look
        over = [(record.plan.injector, record.injection) for record in faults.records if record.injection is not None]
        await heal_again(over, bench.cluster, clock, lambda text: say(Kind.WARNING, text=text))
        whole_again, snapshot = await recovered(scenario, bench, snapshot)
        if whole_again:
            await watch.agree()
    compared = await ledger_report(ledger, bench, snapshot)
    await keeping.finish(load.ended_ns, compared)
    return summarise(
        replace(
            measured(load.ended_ns, compared),
            leader_after=snapshot.leader.name if snapshot.leader else None,
            whole_again=whole_again,
            interrupted=interrupted and not scenario.endless,
            workers=load.engine.report(),
            environment=await environment(bench.cluster, bench.database, snapshot),
        )
    )


def _progress(bench: Bench) -> Callable[[int, int], None]:
    return lambda done, total: bench.hub.say(Kind.PROGRESS, stage="data", done=done, total=total, unit="rows")


@asynccontextmanager
async def _watched(bench: Bench, snapshot: Snapshot) -> AsyncIterator[Watch]:
    """The observers, for the length of the block."""
    async with bench.observe(bench.cluster, snapshot, bench.clock, bench.anchor) as sources:
        watch = Watch(sources, bench.clock)
        async with watch.running():
            yield watch


@asynccontextmanager
async def _load(scenario: Scenario, bench: Bench, context: Context, snapshot: Snapshot) -> AsyncIterator[_Load]:
    """The load, observed, for the length of the block; drained at its end."""
    clock, hub = bench.clock, bench.hub
    seed = f"{bench.seed}/{scenario.name}"
    engine = await carrier(scenario, bench.database, context, clock, seed, hub, samples=bench.samples)
    leader = snapshot.leader
    observer = Observer(bench.cluster, engine, hub, clock, leader.name if leader else None)
    load = _Load(engine, observer)
    tasks = [asyncio.create_task(one) for one in (observer.run(), ticking(engine, hub, clock))]
    try:
        async with engine.running():
            try:
                yield load
            finally:
                load.ended_ns = clock.now()
    finally:
        await stopped(*tasks)


async def _connected(engine: Carrier, bench: Bench) -> None:
    bench.hub.say(Kind.STAGE, name="connect", detail=f"{engine.workers} connections")
    try:
        async with asyncio.timeout(CONNECT_S):
            await engine.connected()
    except TimeoutError:
        raise ClusterUnavailable(
            f"only {engine.connected_count()} of {engine.workers} clients could connect within {CONNECT_S:g} s; "
            "see `chaosbench lab status` and Pgpool's log"
        ) from None
