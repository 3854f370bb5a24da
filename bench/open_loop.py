"""Rows: an open loop at 70 % of what the same clients can do: does it offer what it promises, when it promises it?"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from heapq import heappop, heappush

from bench.calling import call
from bench.load import Load, Taken, count, nobody, only_successes, running, stream, succeeded
from bench.results import Row, Target, measured
from bench.surroundings import Lab
from chaosbench.clock import Clock
from chaosbench.engine.engine import Engine
from chaosbench.histogram import Histogram
from chaosbench.model.scenario import Windows
from chaosbench.recorder.recorder import Recorder
from chaosbench.recorder.samples import Samples

SHARE = 0.7
CLIENTS = 64
OFF_RATE = Target("<=", 0.1)
LATE = Target("<=", 2.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Steady:
    """What is asked: a rate, for so many seconds, over so many connections."""

    port: int
    rate: float
    seconds: float
    connections: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """How well the schedule was kept.

    achieved:       acknowledged operations a second
    late_p99_ms:    sent after intended, of operations for which a worker was free when they were meant to start
    free:           the share of such operations
    loop_late_p99_ms:  how late the loop itself was
    """

    achieved: float
    late_p99_ms: float
    free: float
    loop_late_p99_ms: float


def scheduled_first() -> None:
    """As a run does where it may: the kernel runs the load generator before what it measures."""
    with suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1))


async def steady(asked: Steady) -> Kept:
    """Run the engine at that rate with a row kept of every operation."""
    scheduled_first()
    clock, samples = Clock(), Samples(kept=int(asked.rate * (asked.seconds + 10)))
    engine = Engine(Recorder(clock, Windows(), nobody), clock, "bench", lambda late_ns: None)
    settings = stream(rate=f"{asked.rate}/s", connections=asked.connections)
    load = Load(port=asked.port, workload="select-only", clients=asked.connections, seconds=asked.seconds, files=False)
    async with running(engine, settings, load, clock, samples) as recorder:
        taken = await count(asked.seconds, lambda: succeeded(recorder))
    only_successes(recorder)
    spans = [(sample[3], sample[4], sample[5]) for sample in samples if sample[4] is not None]
    late = Histogram()
    for late_ns in lateness_while_free(spans, asked.connections):
        late.record(late_ns // 1000)
    (late_p99,), (loop_p99,) = late.percentiles_ms((99,)), recorder.lag.histogram.percentiles_ms((99,))
    return Kept(
        achieved=taken.rate,
        late_p99_ms=late_p99 or 0.0,
        free=late.total / len(spans),
        loop_late_p99_ms=loop_p99 or 0.0,
    )


def lateness_while_free(spans: Iterable[tuple[int, int, int]], workers: int) -> Iterator[int]:
    """Sent minus intended, of the operations at whose intended start fewer were waiting or under way than workers.

    spans:  intended, sent and done of every operation, in any order
    """
    ends: list[int] = []
    for intended, sent, done in sorted(spans):
        while ends and ends[0] <= intended:
            heappop(ends)
        if len(ends) < workers:
            yield sent - intended
        heappush(ends, done)


def open_loop(lab: Lab, quick: bool) -> Iterator[Row]:
    """Capacity first, then 70 % of it, in turn."""
    seconds, place = 8.0 if quick else 15.0, lab.pgpool
    capacities, found = [], []
    for _ in range(1 if quick else 2):
        full = Load(port=place.port, workload="select-only", clients=CLIENTS, seconds=4)
        capacities.append(call("engine", full, Taken, lab.environment, 90).rate)
        asked = Steady(port=place.port, rate=round(SHARE * capacities[-1]), seconds=seconds, connections=CLIENTS)
        kept = call("open-loop", asked, Kept, lab.environment, seconds + 90)
        found.append((asked, kept))
    figures = {
        "capacity/s": capacities,
        "offered/s": [asked.rate for asked, _ in found],
        "achieved/s": [kept.achieved for _, kept in found],
    }
    off = [abs(kept.achieved / asked.rate - 1) * 100 for asked, kept in found]
    yield measured(f"achieved against offered, Pgpool, {CLIENTS} connections", off, "% off", OFF_RATE, figures)
    late = [kept.late_p99_ms for _, kept in found]
    figures = {
        "worker free, share": [kept.free for _, kept in found],
        "loop late p99 ms": [kept.loop_late_p99_ms for _, kept in found],
    }
    yield measured("sent - intended, p99 while a worker is free", late, "ms", LATE, figures)
