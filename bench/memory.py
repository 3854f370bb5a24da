"""Rows: does memory grow? A stretch at 2,000/s, extrapolated to an hour."""

from __future__ import annotations

import asyncio
import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from bench.calling import call, stand_in
from bench.load import Load, nobody, only_successes, running, stream
from bench.results import Row, Target, measured
from bench.stall import resident_mb
from chaosbench.clock import Clock
from chaosbench.engine.engine import Engine
from chaosbench.model.scenario import Windows
from chaosbench.recorder.recorder import Recorder
from chaosbench.sinks.prometheus import PrometheusSink

RATE = 2_000
SLOPE = Target("<=", 1.0)
_LOGIN = {"PGUSER": "bench", "PGPASSWORD": "", "PGDATABASE": "bench"}
_SCRAPE_EVERY = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """What is asked: a warm-up that is not looked at, then a look at the memory each second."""

    port: int
    warm_up: int
    seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Grown:
    """Second by second: resident memory in 10^6 bytes, and Python's objects in use; how many operations in all."""

    operations: int
    blocks: list[int] = field(default_factory=list)
    resident_mb: list[float] = field(default_factory=list)


async def stretch(asked: Stretch) -> Grown:
    """The engine with the files of a run and a scrape every 5 s, at 2,000/s, against a server that answers at once."""
    clock = Clock()
    engine = Engine(Recorder(clock, Windows(), nobody), clock, "bench", lambda late_ns: None)
    load = Load(port=asked.port, workload="select-only", clients=64, seconds=asked.seconds)
    metrics = PrometheusSink(0, (), dict)
    found: list[float] = []
    blocks: list[int] = []
    async with running(engine, stream(rate=f"{RATE}/s", connections=64), load, clock) as recorder:
        for second in range(asked.warm_up + asked.seconds):
            await asyncio.sleep(1)
            metrics.on_tick(recorder)
            if second % _SCRAPE_EVERY == 0:
                await metrics.render()
            if second >= asked.warm_up:
                found.append(resident_mb())
                blocks.append(sys.getallocatedblocks())
    only_successes(recorder)
    return Grown(operations=recorder.offered, resident_mb=found, blocks=blocks)


def slope(values: Sequence[float]) -> float:
    """How much a value grows from one to the next: the median over all pairs (Theil and Sen); steps do not tilt it."""
    return statistics.median(
        (later - earlier) / (j - i) for (i, earlier), (j, later) in combinations(enumerate(values), 2)
    )


def memory(quick: bool) -> Iterator[Row]:
    """One stretch after a warm-up: allocators take a while to have all that they will ever need."""
    warm_up, seconds = (30, 30) if quick else (180, 600)
    with stand_in() as port:
        asked = Stretch(port=port, warm_up=warm_up, seconds=seconds)
        grown = call("memory", asked, Grown, _LOGIN, warm_up + seconds + 60)
    seen = grown.resident_mb
    figures = {
        "seconds": [float(len(seen))],
        "operations": [float(grown.operations)],
        "first MB": [seen[0]],
        "last MB": [seen[-1]],
        "last - first MB": [seen[-1] - seen[0]],
        "Python's objects in use, more an hour": [slope([float(number) for number in grown.blocks]) * 3600],
    }
    yield measured(f"memory at {RATE}/s after warm-up", [slope(seen) * 3600], "MB/h", SLOPE, figures)
