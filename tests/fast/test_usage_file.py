"""What chaosbench itself uses, in ``usage.jsonl``."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from chaosbench.clock import loop_clock
from chaosbench.events import Event, Kind
from chaosbench.model.scenario import Windows
from chaosbench.recorder.recorder import Recorder
from chaosbench.sinks.usage_file import UsageFile, used

pytestmark = pytest.mark.looptime(noop_cycles=0)


def stage(name: str) -> Event:
    return Event(0, Kind.STAGE, {"name": name, "detail": ""})


async def test_a_line_every_ten_seconds_of_the_measurement(tmp_path: Path):
    recorder = Recorder(loop_clock(), Windows(), lambda event: None)
    sink = UsageFile(tmp_path / "usage.jsonl")
    for name, seconds in (("warm_up", 15), ("load", 25), ("drain", 15)):
        sink.on_event(stage(name))
        for _ in range(seconds):
            await asyncio.sleep(1)
            sink.on_tick(recorder)
    sink.close()
    rows = [json.loads(line) for line in (tmp_path / "usage.jsonl").read_text().splitlines()]
    assert [row["at_s"] for row in rows] == [16.0, 26.0, 36.0]
    assert all(row["rss_bytes"] > 10e6 for row in rows)


async def test_it_counts_descriptors_tasks_and_threads(tmp_path: Path):
    before = used()
    with (tmp_path / "one").open("w"), (tmp_path / "two").open("w"):
        task = asyncio.create_task(asyncio.sleep(1))
        during = used()
    await task
    assert during["fds"] - before["fds"] == 2
    assert during["tasks"] - before["tasks"] == 1
    after = used()
    assert (after["fds"], after["tasks"], after["threads"]) == (before["fds"], before["tasks"], before["threads"])
