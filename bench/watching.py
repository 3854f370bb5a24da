"""Rows: what watching costs the load: how long a scrape and the live page hold the loop, and how soon they answer.

First every piece of work is driven by hand, step by step: a step is what runs
between two chances for the load to run. The recorder is as full as it gets: 12
kinds of operation, every one of them with latencies and errors, 64 reasons, 9
containers, an open error window, expectations that need percentiles. Then the
real engine runs at a fixed rate on uvloop against a stand-in for the database,
and a second process scrapes it once a second and keeps a page open.

Steps are measured in CPU time of the thread: a run asks the kernel to be
scheduled first, and this bench should not measure its neighbours.
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import uvloop

from bench.full import Full, snapshot, uses
from bench.load import stream
from bench.results import Row, Target, Verdict
from chaosbench.clock import Clock
from chaosbench.engine import Attempt, Operation
from chaosbench.engine.engine import Engine, without_gc_pauses
from chaosbench.model.scenario import Windows
from chaosbench.outcome import OpClass, Outcome
from chaosbench.recorder.recorder import Recorder
from chaosbench.sinks.page.sink import PageSink
from chaosbench.sinks.prometheus import PrometheusSink

HOLD, ANSWER = Target("<=", 2.0), Target("<=", 50.0)
TICKS = 700
RATE = 2_000
CLIENT = """
import os, sys, time, urllib.request
try:
    os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))  # it measures, so it must not wait itself
except PermissionError:
    pass
base, seconds = sys.argv[1], float(sys.argv[2])
end = time.monotonic() + seconds
while time.monotonic() < end:
    began = time.monotonic()
    urllib.request.urlopen(base + "/metrics", timeout=5).read()
    print(time.monotonic() - began, flush=True)
    time.sleep(1)
"""
LISTENER = """
import sys, urllib.request
with urllib.request.urlopen(sys.argv[1] + "/page/api/stream", timeout=60) as stream:
    while stream.readline():
        pass
"""


def steps(work: Coroutine[Any, Any, object]) -> list[float]:
    """Drive a coroutine by hand; how long each step took, in ms."""
    taken: list[float] = []
    while True:
        began = time.thread_time()
        try:
            work.send(None)
        except StopIteration:
            return taken
        finally:
            taken.append((time.thread_time() - began) * 1000)


async def all_of(parts: AsyncIterator[bytes]) -> None:
    """Take every part."""
    async for _ in parts:
        pass


def call(work: Callable[[], object]) -> float:
    """How long one call took, in ms."""
    began = time.thread_time()
    work()
    return (time.thread_time() - began) * 1000


async def by_hand(out: Path) -> list[tuple[str, list[float]]]:
    """Each kind of work and its steps over all repetitions. A loop must run, since a scrape counts its tasks."""
    full = Full(out)
    ticks, states, messages, scrapes = [], [], [], []
    gc.freeze()  # as during a run
    gc.disable()
    try:
        for second in range(TICKS):
            full.second()
            full.metrics.on_tick(full.recorder)
            full.page._due = full.recorder
            ticks += steps(full.page._digest())
            states.append(call(full.page._state))
            if second % 20 == 0:
                scrapes += steps(full.metrics.render())
            if second % 50 == 49:
                with full.page._feed._mailbox() as mailbox:
                    messages += steps(all_of(full.page._feed._message(mailbox)))
    finally:
        gc.enable()
        gc.unfreeze()
    return [
        ("scrape, by pieces", scrapes),
        ("page: a tick, by pieces", ticks),
        ("page: the state as JSON (once for all browsers)", states),
        (f"page: up to {TICKS} points of history, by pieces", messages),
    ]


class StandIn:
    """A database that answers after a millisecond, and a connection to it."""

    operations = (Operation("read", OpClass.READ), Operation("write", OpClass.WRITE))
    retries = 0

    def pick(self, rng: random.Random) -> int:
        return rng.randrange(2)

    async def open(self, connection: object, rng: random.Random) -> StandIn:
        return self

    def settle(self, row: int, outcome: Outcome) -> None: ...

    async def run(self, operation: int, attempt: Attempt) -> None:
        await asyncio.sleep(0.001)

    async def connect(self, timeout: float) -> StandIn:
        return self

    def is_closed(self) -> bool:
        return False

    def is_in_transaction(self) -> bool:
        return False

    def terminate(self) -> None: ...


async def under_load(out: Path, seconds: float, rate: int, *, watched: bool) -> tuple[list[float], Recorder]:
    """Answers' times in ms while the engine runs, and the recorder with the loop's lateness."""
    clock = Clock()
    page = PageSink(clock, clock.anchor(), out, lambda: None, lambda: uses(clock.now() // 10**9))
    metrics = PrometheusSink(0, page.routes, lambda: uses(clock.now() // 10**9))
    recorder = Recorder(clock, Windows(), lambda event: None)
    engine = Engine(recorder, clock, "bench", lambda lag: None)
    settings = stream(rate=f"{rate}/s", connections=64)
    engine.add("load", settings, StandIn(), StandIn().connect)  # type: ignore[arg-type]
    page.look(snapshot())
    await metrics.start()
    base = f"http://127.0.0.1:{metrics.port}"
    program = [sys.executable, "-c"]
    scraping = listening = None
    async with without_gc_pauses(), engine.running():
        await engine.connected()
        engine.begin()
        if watched:
            listening = await asyncio.create_subprocess_exec(*program, LISTENER, base)
            scraping = await asyncio.create_subprocess_exec(
                *program, CLIENT, base, str(seconds), stdout=subprocess.PIPE
            )
        await asyncio.sleep(1)
        recorder.lag.histogram.__init__()  # type: ignore[misc]  # what came before is start-up
        for _ in range(round(seconds)):
            await asyncio.sleep(1)
            if watched:
                metrics.on_tick(recorder)
                page.on_tick(recorder)
    answers = []
    if scraping is not None and listening is not None:
        said, _ = await scraping.communicate()
        answers = [float(line) * 1000 for line in said.split()]
        page.close()
        await asyncio.wait_for(listening.wait(), 10)
    await metrics.stop()
    return answers, recorder


def row(measure: str, values: list[float], target: Target) -> Row:
    """The 99th percentile of many steps, which the target is held against; the median and the worst beside it."""
    found = sorted(values)
    p99 = found[max(0, int(len(found) * 0.99) - 1)]
    figures = {"steps": float(len(found)), "median ms": found[len(found) // 2], "worst ms": found[-1]}
    verdict = Verdict.MET if target.met(p99) else Verdict.MISSED
    return Row(measure=f"{measure}, p99", value=p99, unit="ms", target=target, verdict=verdict, figures=figures)


def watching(quick: bool) -> Iterator[Row]:
    """Each piece of work by hand, then all of it under load."""
    seconds = 8.0 if quick else 15.0
    with tempfile.TemporaryDirectory() as directory, _scheduled_first():
        out = Path(directory)
        for name, values in uvloop.run(by_hand(out)):
            yield row(f"{name}: loop held", values, HOLD)
        _, alone = uvloop.run(under_load(out, seconds, RATE, watched=False))
        answers, watched = uvloop.run(under_load(out, seconds, RATE, watched=True))
    yield row(f"scrape at {RATE}/s, until answered", answers, ANSWER)
    for name, recorder in (("alone", alone), ("scraped, with a page open", watched)):
        (p99,) = recorder.lag.histogram.percentiles_ms((99,))
        figures = {"operations": float(recorder.offered)}
        yield Row(
            measure=f"loop's lateness {name}, p99", value=p99 or 0.0, unit="ms", verdict=Verdict.STATED, figures=figures
        )


@contextmanager
def _scheduled_first() -> Iterator[None]:
    """As a run is, where that is allowed; and back again."""
    before = os.sched_getscheduler(0)
    with suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    try:
        yield
    finally:
        os.sched_setscheduler(0, before, os.sched_param(0))
