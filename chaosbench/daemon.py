"""A run's life: one lock, one cluster, a journal and its guard, metrics, signals; the scenarios in turn; one exit code.

What an earlier run left behind is healed first. The first SIGINT, SIGTERM or
SIGHUP ends the measurement, heals every fault and reports what there is; the
second skips the report, never the healing. What nobody can catch, the guard heals. A service has no terminal that
could be closed: there a SIGHUP changes nothing, and that is said.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from chaosbench.clock import Clock
from chaosbench.cluster.docker import DockerCluster
from chaosbench.cluster.labfiles import read_lab
from chaosbench.cluster.statistics import ContainerMeter
from chaosbench.errors import PreflightError
from chaosbench.events import Kind
from chaosbench.guard.parent import guarded
from chaosbench.journal.place import alone
from chaosbench.observers import live
from chaosbench.report.command import report_apart
from chaosbench.rescue import heal_left_behind, journal_of
from chaosbench.rolling import KEEP_ALL, Keep
from chaosbench.scenarios.database import LiveDatabase
from chaosbench.scenarios.loader import ScenarioFile
from chaosbench.scenarios.preflight import require_faults
from chaosbench.scenarios.run import Bench
from chaosbench.scenarios.scenario import Scenario
from chaosbench.scenarios.series_files import SeriesDirectory
from chaosbench.scenarios.stopping import stopped
from chaosbench.scenarios.turns import Run, scenarios_in_turn
from chaosbench.service import HANGUP, is_service, served
from chaosbench.sinks import Sink
from chaosbench.sinks.hub import Hub
from chaosbench.sinks.page.sink import PageSink
from chaosbench.sinks.prometheus import PrometheusSink
from chaosbench.wall_clock import Step, WallClock

INTERRUPTING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the person asked for.

    metrics_port:      on 127.0.0.1; 0 for no metrics
    metrics_required:  whether a port that cannot be had ends the run, because it was asked for
    samples:           keep a row of every operation
    keep_going:        go on after a scenario or trial that left the cluster broken
    trial:             of each scenario, only this trial
    keep:              how long closed parts of result files are kept
    resume:            the series, or the soak, to go on with; then its scenario is the only one
    """

    file: ScenarioFile
    scenarios: tuple[Scenario, ...]
    seed: int | None
    out: Path
    lab: Path
    metrics_port: int
    metrics_required: bool
    samples: bool = False
    keep_going: bool = False
    trial: int | None = None
    resume: SeriesDirectory | None = None
    keep: Keep = KEEP_ALL


async def run(request: Request, console: Console) -> int:
    """Run the scenarios against the lab, showing them on ``console``; returns the exit code."""
    clock = Clock()
    hub = Hub([], clock)
    seeds = (request.seed, request.file.seed, secrets.randbelow(2**31))

    def warn(text: str) -> None:
        hub.say(Kind.WARNING, text=text)

    project = read_lab(request.lab).project
    with alone(project), _scheduled_first():
        async with DockerCluster.at(request.lab) as cluster, _metered(cluster, clock) as meter:
            journal = journal_of(project, warn)
            await heal_left_behind(journal, cluster, lambda line: console.print(line, soft_wrap=True), "the next run")
            bench = Bench(
                cluster=cluster,
                database=LiveDatabase(cluster, clock),
                hub=hub,
                clock=clock,
                anchor=clock.anchor(),
                seed=next(seed for seed in seeds if seed is not None),
                stop=asyncio.Event(),
                observe=live.sources,
                journal=journal,
                samples=request.samples,
                scenario_file=request.file.text,
                containers=meter.now,
            )
            await require_faults(request.scenarios, cluster)
            async with (
                guarded(journal, request.lab, clock, warn),
                _watched_live(cluster, bench, request, console),
                _wall_clock_watched(bench),
                served(hub, clock, bench.stop),
            ):
                with _stop_on_signals(bench.stop, hub, console):
                    return await scenarios_in_turn(
                        Run(
                            bench=bench,
                            file=request.file.path,
                            scenarios=request.scenarios,
                            out=request.out,
                            console=console,
                            keep_going=request.keep_going,
                            trial=request.trial,
                            resume=request.resume,
                            report=report_apart,
                            keep=request.keep,
                        )
                    )


@asynccontextmanager
async def _metered(cluster: DockerCluster, clock: Clock) -> AsyncIterator[ContainerMeter]:
    """What the containers use, followed while the run lasts."""
    meter = ContainerMeter(cluster, clock)
    cluster.overheard.append(meter.look)
    async with meter.running():
        yield meter


@asynccontextmanager
async def _watched_live(
    cluster: DockerCluster, bench: Bench, request: Request, console: Console
) -> AsyncIterator[None]:
    """Metrics for Prometheus and a page for people, from one server, while the run lasts."""
    page = PageSink(bench.clock, bench.anchor, request.out, bench.stop.set, bench.containers)
    metrics = PrometheusSink(request.metrics_port, page.routes, bench.containers)
    sinks: tuple[Sink, ...] = (metrics, page)
    try:
        if request.metrics_port:
            await metrics.start()
            cluster.overheard.append(page.look)
            console.print(
                f"live page: http://127.0.0.1:{metrics.port}/ (to stop the run from it: token {page.token})",
                soft_wrap=True,
            )
            for sink in sinks:
                bench.hub.add(sink)
    except PreflightError as error:
        if request.metrics_required:
            raise
        console.print(f"no metrics, no live page: {error}", soft_wrap=True)
    try:
        async with page.running():
            yield
            await metrics.last_look()
    finally:
        for sink in sinks:
            bench.hub.remove(sink)
        await metrics.stop()


@asynccontextmanager
async def _wall_clock_watched(bench: Bench) -> AsyncIterator[None]:
    """Steps of the wall clock are told while the run lasts."""

    def tell(step: Step) -> None:
        bench.hub.say(Kind.CLOCK_STEPPED, by_s=step.by_s, offset_s=step.offset_s)

    watching = asyncio.create_task(WallClock(bench.clock, bench.anchor).watch(tell), name="wall clock")
    try:
        yield
    finally:
        await stopped(watching)


@contextmanager
def _scheduled_first() -> Iterator[None]:
    """Ask the kernel to run this process before what it measures, where that is allowed (root, CAP_SYS_NICE).

    On a machine shared with the cluster the load generator otherwise waits for
    a CPU like everybody else, and would report its own lateness as the
    cluster's. Children do not inherit it. What was got is in the summary.
    """
    before = os.sched_getscheduler(0)
    try:
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    except PermissionError:
        yield
        return
    try:
        yield
    finally:
        os.sched_setscheduler(0, before, os.sched_param(0))


@contextmanager
def _stop_on_signals(stop: asyncio.Event, hub: Hub, console: Console) -> Iterator[None]:
    """The first signal asks for an early end; the second cancels, and cancelling heals. A service hears no SIGHUP."""
    loop = asyncio.get_running_loop()
    no_terminal = is_service()
    task = asyncio.current_task()

    def received(number: signal.Signals) -> None:
        if number is signal.SIGHUP and no_terminal:
            hub.say(Kind.WARNING, text=HANGUP)
            return
        if number is signal.SIGHUP:
            _let_go_of_terminal()
        again = stop.is_set()
        stop.set()
        if again and task is not None:
            task.cancel()
        with suppress(OSError):  # nobody may be there to read it
            console.print(
                f"{number.name} again: healing, then leaving without a report"
                if again
                else f"{number.name}: ending the measurement, healing every fault, then the report"
            )

    for number in INTERRUPTING:
        loop.add_signal_handler(number, received, number)
    try:
        yield
    finally:
        for number in INTERRUPTING:
            loop.remove_signal_handler(number)


def _let_go_of_terminal() -> None:
    """Write to nowhere from now on where the terminal was closed: every further line would be an error."""
    for stream in (1, 2):
        with suppress(OSError):
            if stat.S_ISCHR(os.fstat(stream).st_mode) and not os.isatty(stream):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, stream)
                os.close(nowhere)
