"""Memory under load, extrapolated to an hour: minutes at 2,000/s on virtual time, with every sink that a run has."""

from __future__ import annotations

import asyncio
import gc
import os
import tracemalloc
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest
from fakes import READ, FakeServer, FakeWorkload

from chaosbench.clock import loop_clock
from chaosbench.engine.engine import Engine
from chaosbench.events import Kind
from chaosbench.model.scenario import StreamSettings, Windows
from chaosbench.recorder.recorder import Recorder
from chaosbench.sinks.hub import Hub
from chaosbench.sinks.prometheus import PrometheusSink
from chaosbench.sinks.table import Setting, sinks_of

pytestmark = pytest.mark.looptime(noop_cycles=0)
RATE, WARM_UP_S, LOOKED_AT_S = 2000, 12, 12
MOST_AN_HOUR = 1e6


def in_use() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


@pytest.fixture
def nowhere() -> Iterator[TextIO]:
    with Path(os.devnull).open("w") as stream:
        yield stream


async def test_memory_does_not_grow_with_the_operations(tmp_path: Path, nowhere: TextIO):
    clock = loop_clock()
    recorder = Recorder(clock, Windows(), lambda event: None)
    engine = Engine(recorder, clock, "seed", lambda lag: None)
    settings = StreamSettings(rate=f"{RATE}/s", connections=16)  # type: ignore[arg-type]
    server = FakeServer(clock)
    server.log, server.applied = deque(maxlen=1), deque(maxlen=1)  # it remembers every statement otherwise
    engine.add("load", settings, FakeWorkload((READ,)), server.connect)
    hub = Hub(sinks_of(Setting(clock=clock, anchor=clock.anchor(), stream=nowhere, directory=tmp_path)), clock)
    hub.add(PrometheusSink())
    hub.say(Kind.STAGE, name="load", detail="")
    async with engine.running():
        await engine.connected()
        engine.begin()
        before = 0
        for second in range(WARM_UP_S + LOOKED_AT_S):
            await asyncio.sleep(1)
            hub.tick(recorder)
            if second == WARM_UP_S // 2:
                tracemalloc.start()
            elif second == WARM_UP_S:
                before, offered = in_use(), recorder.offered
        after = in_use()
        tracemalloc.stop()
        assert recorder.offered - offered == pytest.approx((LOOKED_AT_S - 1) * RATE, rel=0.01)
    hub.close()
    assert (after - before) * 3600 / LOOKED_AT_S < MOST_AN_HOUR
