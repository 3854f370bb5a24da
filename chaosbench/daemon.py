"""A run's life: one lock, one set of sinks, the scenarios in turn, one exit code.

The first SIGINT or SIGTERM ends the measurement, heals every fault and reports
what there is; the second skips the report, never the healing.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import secrets
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from chaosbench.clock import Clock
from chaosbench.cluster.docker import DockerCluster
from chaosbench.cluster.labfiles import read_lab
from chaosbench.errors import PreflightError, UndeterminedError
from chaosbench.events import Kind
from chaosbench.model.report import Summary, Verdict, worst
from chaosbench.render import terminal
from chaosbench.results import RunDirectory
from chaosbench.scenarios.database import LiveDatabase
from chaosbench.scenarios.loader import ScenarioFile
from chaosbench.scenarios.preflight import require_targets
from chaosbench.scenarios.run import Bench, run_scenario
from chaosbench.scenarios.scenario import Scenario
from chaosbench.sinks import Sink
from chaosbench.sinks.hub import Hub
from chaosbench.sinks.prometheus import PrometheusSink
from chaosbench.sinks.table import SINKS, Setting

EXIT_CODES = {Verdict.PASS: 0, Verdict.FAIL: 1, Verdict.UNKNOWN: 3}
INTERRUPTING = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the person asked for.

    metrics_port:      on 127.0.0.1; 0 for no metrics
    metrics_required:  whether a port that cannot be had ends the run, because it was asked for
    """

    file: ScenarioFile
    scenarios: tuple[Scenario, ...]
    seed: int | None
    out: Path
    lab: Path
    metrics_port: int
    metrics_required: bool


@dataclass(frozen=True, slots=True)
class _Run:
    """What the scenarios of one run share, beside the bench."""

    bench: Bench
    out: Path
    console: Console


async def run(request: Request, console: Console) -> int:
    """Run the scenarios against the lab, showing them on ``console``; returns the exit code."""
    clock = Clock()
    hub = Hub([], clock)
    seeds = (request.seed, request.file.seed, secrets.randbelow(2**31))
    with _alone(read_lab(request.lab).project), _scheduled_first():
        async with DockerCluster.at(request.lab) as cluster, _metrics(hub, request, console):
            bench = Bench(
                cluster=cluster,
                database=LiveDatabase(cluster, clock),
                hub=hub,
                clock=clock,
                anchor=clock.anchor(),
                seed=next(seed for seed in seeds if seed is not None),
                stop=asyncio.Event(),
                scenario_file=request.file.text,
            )
            await require_targets(request.scenarios, cluster)
            with _stop_on_signals(bench.stop, console):
                return await _scenarios(request, _Run(bench, request.out, console))


async def _scenarios(request: Request, run: _Run) -> int:
    bench = run.bench
    names = [scenario.name for scenario in request.scenarios]
    run.console.print(f"chaosbench run {request.file.path}: {', '.join(names)} (seed {bench.seed})", soft_wrap=True)
    bench.hub.say(Kind.RUN_STARTED, file=str(request.file.path), scenarios=names, seed=bench.seed)
    verdicts: list[Verdict] = []
    for scenario in request.scenarios:
        verdicts.append(Verdict.UNKNOWN if bench.stop.is_set() else await _one(scenario, run))
    verdict = worst(tuple(verdicts))
    bench.hub.say(Kind.RUN_FINISHED, verdict=verdict.value, exit_code=EXIT_CODES[verdict])
    for name, each in zip(names, verdicts, strict=True):
        run.console.print(f"{each.value:<8}{name}")
    return EXIT_CODES[verdict]


async def _one(scenario: Scenario, run: _Run) -> Verdict:
    """One scenario in its own directory. One that could not be run does not keep the next from being tried."""
    bench = run.bench
    directory = RunDirectory.make(run.out, datetime.now(UTC), scenario.name)
    setting = Setting(clock=bench.clock, anchor=bench.anchor, stream=sys.stdout, directory=directory.path)
    with _watched_by(bench.hub, [make(setting) for make in SINKS.values()]):
        try:
            summary = await run_scenario(scenario, bench)
        except UndeterminedError as error:
            bench.hub.say(Kind.WARNING, text=str(error))
            summary = None
        verdict = summary.verdict if summary else Verdict.UNKNOWN
        bench.hub.say(
            Kind.SCENARIO_FINISHED, scenario=scenario.name, verdict=verdict.value, directory=str(directory.path)
        )
    if summary is not None:
        terminal.show(summary, run.console)
        run.console.print(f"  {_kept(summary, directory)}", soft_wrap=True)
    return verdict


def _kept(summary: Summary, directory: RunDirectory) -> str:
    """Write the summary and say where; a full disk costs the file, not the verdict."""
    try:
        return f"results in {directory.write(summary).parent}"
    except OSError as error:
        return f"summary.json could not be written to {directory.path}: {error.strerror}"


@contextmanager
def _watched_by(hub: Hub, sinks: list[Sink]) -> Iterator[None]:
    """These sinks watch for the length of the block."""
    for sink in sinks:
        hub.add(sink)
    try:
        yield
    finally:
        for sink in sinks:
            hub.remove(sink)


@asynccontextmanager
async def _metrics(hub: Hub, request: Request, console: Console) -> AsyncIterator[None]:
    """Metrics for Prometheus while the run lasts."""
    sink = PrometheusSink(request.metrics_port)
    try:
        if request.metrics_port:
            await sink.start()
            hub.add(sink)
    except PreflightError as error:
        if request.metrics_required:
            raise
        console.print(f"no metrics: {error}", soft_wrap=True)
    try:
        yield
    finally:
        hub.remove(sink)
        await sink.stop()


@contextmanager
def _alone(project: str) -> Iterator[None]:
    """No two runs on one lab, from whatever checkout: each would take the other's faults for its own."""
    path = Path(tempfile.gettempdir()) / f"chaosbench-{project}.lock"
    with path.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise PreflightError(
                f"another chaosbench run is using the lab {project!r}; wait for it, or stop it"
            ) from None
        yield


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
def _stop_on_signals(stop: asyncio.Event, console: Console) -> Iterator[None]:
    """The first signal asks for an early end; the second cancels, and cancelling heals."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()

    def received(number: signal.Signals) -> None:
        if stop.is_set() and task is not None:
            console.print(f"{number.name} again: healing, then leaving without a report")
            task.cancel()
            return
        console.print(f"{number.name}: ending the measurement, healing every fault, then the report")
        stop.set()

    for number in INTERRUPTING:
        loop.add_signal_handler(number, received, number)
    try:
        yield
    finally:
        for number in INTERRUPTING:
            loop.remove_signal_handler(number)
