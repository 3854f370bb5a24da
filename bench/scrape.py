"""What watching costs the load: how long a scrape and the live page hold the loop, and how soon they answer.

    python bench/scrape.py [--seconds 20] [--rate 2000]

First every piece of work is driven by hand, step by step: a step is what runs
between two chances for the load to run. The recorder is as full as it gets: 12
kinds of operation, every one of them with latencies and errors, 64 reasons, 9
containers, an open error window, expectations that need percentiles. Then the
real engine runs at a fixed rate on uvloop against a stand-in for the database,
and a second process scrapes it once a second and keeps a page open.

Steps are measured in CPU time of the thread: a run asks the kernel to be
scheduled first, and this bench should not measure its neighbours.

The limits are those of the project: 2 ms of the loop in one piece, 50 ms to an answer.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import uvloop

from chaosbench.clock import Clock
from chaosbench.engine import Attempt, Operation
from chaosbench.engine.engine import Engine, without_gc_pauses
from chaosbench.events import Event, Kind
from chaosbench.model.cluster import BackendView, Member, NodeView, Role, RunState, Snapshot
from chaosbench.model.containers import ContainerUse
from chaosbench.model.scenario import StreamSettings, Windows
from chaosbench.outcome import OpClass, Outcome
from chaosbench.recorder.recorder import Recorder
from chaosbench.sinks.page.sink import PageSink
from chaosbench.sinks.prometheus import PrometheusSink

HOLD_MS, ANSWER_MS = 2.0, 50.0
TALLIES, REASONS, TICKS = 12, 64, 700
MEMBERS = ("etcd1", "etcd2", "etcd3", "pg1", "pg2", "pg3", "pgpool1", "pgpool2", "pgpool3")
CLASSES = tuple(OpClass)
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


def uses(step: int) -> dict[str, ContainerUse]:
    """What nine containers use after so many seconds."""
    return {
        name: ContainerUse(step, step * 10**9, step * 0.1, 10**8 + step, step, step, step, step) for name in MEMBERS
    }


def snapshot() -> Snapshot:
    """A cluster of nine."""
    roles = {"e": Role.ETCD, "g": Role.POSTGRES}
    members = tuple(
        Member(name=name, role=Role.PGPOOL if "pool" in name else roles[name[0] if name[0] == "e" else name[1]],
               container_id=name, state=RunState.RUNNING)
        for name in MEMBERS
    )  # fmt: skip
    nodes = {name: NodeView("replica", "streaming", 2, wal_position=10**9) for name in ("pg2", "pg3")}
    nodes["pg1"] = NodeView("leader", "running", 2, ("pg2", "pg3"), wal_position=10**9)
    backends = {f"pgpool{n}": {f"pg{m}": BackendView("up", "standby") for m in (1, 2, 3)} for n in (1, 2, 3)}
    return Snapshot(members=members, nodes=nodes, backends=backends)


class Full:
    """A recorder as full as it gets, and both sinks over it."""

    def __init__(self, out: Path) -> None:
        self.now_ns = 10**12
        clock = Clock(now=lambda: self.now_ns)
        self.page = PageSink(clock, clock.anchor(), out, lambda: None, lambda: uses(self.now_ns // 10**9))
        self.metrics = PrometheusSink(0, self.page.routes, lambda: uses(1))
        self.recorder = Recorder(clock, Windows(), lambda event: None)
        self._rng = random.Random(1)
        self.say(Kind.RUN_STARTED, file="f.yaml", scenarios=["full"], seed=1)
        limits = {"rto": "<= 30s", "p99": "<= 50ms", "ok_rate": ">= 90%", "write_window": "<= 30s"}
        self.say(
            Kind.SCENARIO_STARTED, scenario="full", description="", duration_s=900.0, warm_up_s=0.0, streams=["load"],
            faults=[], expectations=[{"metric": name, "limit": limit} for name, limit in limits.items()],
        )  # fmt: skip
        self.say(Kind.STAGE, name="load", detail="")
        for number in range(20):
            fault = {"fault": f"fault-{number}", "injector": "kill", "target": "pg1", "container": "c"}
            self.say(Kind.FAULT_INJECTING, **fault)
            self.recorder.watch(self.now_ns)
        self.page.look(snapshot())

    def say(self, kind: Kind, **data: object) -> None:
        for sink in (self.page, self.metrics):
            sink.on_event(Event(self.now_ns, kind, data))

    def second(self) -> None:
        """One second of load in every tally."""
        self.now_ns += 10**9
        for kind in range(TALLIES):
            tally = self.recorder.tally(f"load-{kind // 3}", f"operation-{kind}", CLASSES[kind % 3])
            for _ in range(60):
                tally.attempted += 2
                late_ns = int(self._rng.lognormvariate(15, 2))
                tally.record_ok(self.now_ns - late_ns, self.now_ns - late_ns, self.now_ns)
                number = self._rng.randrange(REASONS)
                outcome, reason = (Outcome.FAILED, Outcome.UNKNOWN, Outcome.SHED)[number % 3], f"{number:05}"
                self.recorder.bad(tally, outcome, reason, self.now_ns - late_ns, self.now_ns - late_ns, self.now_ns)


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


def by_hand(out: Path) -> Iterator[tuple[str, list[float], int]]:
    """Each kind of work, its steps over all repetitions, and how often it was repeated."""
    full = Full(out)
    ticks, states, messages, scrapes, counts = [], [], [], [], [0, 0]
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
                counts[0] += 1
            if second % 50 == 49:
                with full.page._feed._mailbox() as mailbox:
                    messages += steps(all_of(full.page._feed._message(mailbox)))
                counts[1] += 1
    finally:
        gc.enable()
        gc.unfreeze()
    yield "scrape, by pieces", scrapes, counts[0]
    yield "page: a tick, by pieces", ticks, TICKS
    yield "page: the state as JSON (once for all browsers)", states, TICKS
    yield f"page: up to {TICKS} points of history, by pieces", messages, counts[1]


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
    settings = StreamSettings(rate=f"{rate}/s", connections=64)
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


def row(name: str, values: list[float], times: int | str, limit: float) -> bool:
    """Print a line; whether its worst is within the limit."""
    worst, median = max(values), statistics.median(values)
    p99 = sorted(values)[int(len(values) * 0.99) - 1] if len(values) > 1 else worst
    good = p99 <= limit
    print(f"{name:<52}{times:>6}{median:>9.2f}{p99:>9.2f}{worst:>9.2f}{limit:>8.0f}  {'ok' if good else 'TOO LONG'}")
    return good


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--seconds", type=float, default=20.0)
    options.add_argument("--rate", type=int, default=2000, help="operations a second")
    chosen = options.parse_args()
    with contextlib.suppress(PermissionError):  # as a run does
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory)
        print(f"{'ms':<52}{'times':>6}{'median':>9}{'p99':>9}{'max':>9}{'limit':>8}")
        good = [row(name, values, times, HOLD_MS) for name, values, times in by_hand(out)]
        _, alone = uvloop.run(under_load(out, chosen.seconds, chosen.rate, watched=False))
        answers, watched = uvloop.run(under_load(out, chosen.seconds, chosen.rate, watched=True))
        good.append(row(f"scrape at {chosen.rate}/s, until answered", answers, len(answers), ANSWER_MS))
    for name, recorder in (("alone", alone), ("scraped, with a page open", watched)):
        p50, p99, p999 = recorder.lag.histogram.percentiles_ms((50, 99, 99.9))
        print(f"loop's lateness {name}: p50 {p50} ms, p99 {p99} ms, p99.9 {p999} ms, of {recorder.offered} operations")
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
