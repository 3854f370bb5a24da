"""What containers use: the engine's entries read, added up over restarts, followed, folded and written down."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from sinks_cases import ANCHOR, T0, Bench, event

from chaosbench.clock import NS, loop_clock
from chaosbench.cluster.fake import FakeCluster
from chaosbench.cluster.statistics import SILENT_S, ContainerMeter, Totals, sample_of
from chaosbench.errors import ClusterUnavailable
from chaosbench.events import Kind
from chaosbench.model.cluster import Member
from chaosbench.model.containers import ContainerSample, ContainerUse
from chaosbench.sinks.container_spans import ContainerSpans
from chaosbench.sinks.containers_file import ContainersFile

MIB = 1 << 20


def entry(**other: Any) -> dict[str, Any]:
    """One entry as the engine sends it, version 1 of control groups."""
    return {
        "read": "2026-03-01T12:00:01.250000007Z",
        "cpu_stats": {"cpu_usage": {"total_usage": 6_542_770_894}},
        "memory_stats": {"usage": 500 * MIB, "stats": {"total_inactive_file": 380 * MIB, "inactive_file": 380 * MIB}},
        "blkio_stats": {
            "io_service_bytes_recursive": [
                {"major": 8, "minor": 0, "op": "Read", "value": 100},
                {"major": 8, "minor": 0, "op": "Write", "value": 200},
                {"major": 8, "minor": 16, "op": "Write", "value": 50},
                {"major": 8, "minor": 0, "op": "Total", "value": 300},
            ]
        },
        "networks": {"eth0": {"rx_bytes": 10, "tx_bytes": 20}, "eth1": {"rx_bytes": 1, "tx_bytes": 2}},
    } | other


def test_an_entry_of_the_first_control_groups():
    assert sample_of(entry()) == ContainerSample(
        wall_ns=1_772_366_401_250_000_007,
        cpu_ns=6_542_770_894,
        memory_bytes=120 * MIB,
        read_bytes=100,
        written_bytes=250,
        receive_bytes=11,
        transmit_bytes=22,
    )


def test_an_entry_of_the_second_control_groups():
    found = sample_of(
        entry(
            memory_stats={"usage": 50, "stats": {"inactive_file": 20}},
            blkio_stats={"io_service_bytes_recursive": [{"op": "read", "value": 7}, {"op": "write", "value": 8}]},
        )
    )
    assert found is not None
    assert (found.memory_bytes, found.read_bytes, found.written_bytes) == (30, 7, 8)


@pytest.mark.parametrize("rows", [None, []])
def test_disks_that_are_not_counted_are_unknown_and_not_zero(rows: list[Any] | None):
    found = sample_of(entry(blkio_stats={"io_service_bytes_recursive": rows}))
    assert found is not None
    assert (found.read_bytes, found.written_bytes) == (None, None)


def test_a_container_that_does_not_run_has_no_figures():
    stopped = {
        "read": "0001-01-01T00:00:00Z",
        "cpu_stats": {"cpu_usage": {"total_usage": 0}},
        "memory_stats": {},
        "name": "/x",
    }
    assert sample_of(stopped) is None
    assert sample_of({}) is None


def test_counters_go_on_where_a_restart_began_them_anew():
    totals = Totals()
    uses = [
        totals.add(ContainerSample(at, cpu * NS, 1, receive_bytes=cpu), at)
        for at, cpu in enumerate((5, 9, 1, 4, 2))
    ]  # fmt: skip
    assert [use.cpu_s for use in uses] == [5, 9, 10, 13, 15]
    assert [use.receive_bytes for use in uses] == [5, 9, 10, 13, 15]
    assert uses[-1].read_bytes is None


class Counting(FakeCluster):
    """Counts the streams that were opened."""

    opened = 0

    async def statistics(self, member: Member) -> AsyncGenerator[ContainerSample | None, None]:
        self.opened += 1
        async for sample in super().statistics(member):
            yield sample


class Troubled(FakeCluster):
    """Its engine refuses once, ends once, falls silent once, and then tells."""

    opened = 0

    async def statistics(self, member: Member) -> AsyncGenerator[ContainerSample | None, None]:
        self.opened += 1
        if self.opened == 1:
            raise ClusterUnavailable("no answer")
        if self.opened == 3:
            await asyncio.Event().wait()
        if self.opened > 3:
            async for sample in super().statistics(member):
                yield sample


@pytest.mark.looptime
async def test_members_are_followed_while_the_run_lasts():
    clock = loop_clock()
    cluster = Counting(clock)
    meter = ContainerMeter(cluster, clock)
    async with meter.running():
        for _ in range(3):
            meter.look(await cluster.snapshot())
            await asyncio.sleep(0.5)
        await asyncio.sleep(2)
        assert cluster.opened == 5, "one stream each, however often somebody looks"
        assert sorted(meter.now()) == ["etcd1", "pg1", "pg2", "pg3", "pgpool1"]
        assert meter.now()["pg1"].cpu_s == pytest.approx(0.3)
        await cluster.pause(cluster.member("pg1"))
        await asyncio.sleep(3)
        assert meter.now()["pg1"].cpu_s == pytest.approx(0.3), "a frozen container uses no CPU"
        assert meter.now()["pg1"].memory_bytes == 64 * MIB, "and keeps its memory"
        await cluster.unpause(cluster.member("pg1"))
        await cluster.kill(cluster.member("pg2"))
        await asyncio.sleep(2)
        assert meter.now()["pg2"].memory_bytes == 0
        stood = meter.now()["pg2"].cpu_s
        await cluster.start(cluster.member("pg2"))
        await asyncio.sleep(2)
        assert meter.now()["pg2"].cpu_s > stood
        tasks = [task for task in asyncio.all_tasks() if task.get_name().startswith("statistics of")]
        assert len(tasks) == 5, "one each"
    assert all(task.done() for task in tasks)


@pytest.mark.looptime
async def test_a_stream_that_fails_ends_or_falls_silent_is_opened_again():
    clock = loop_clock()
    cluster = Troubled(clock)
    meter = ContainerMeter(cluster, clock)
    snapshot = await cluster.snapshot()
    async with meter.running():
        meter.look(type(snapshot)(members=(cluster.member("pg1"),)))
        await asyncio.sleep(SILENT_S + 6)
        assert cluster.opened == 4
        assert meter.now()["pg1"].cpu_s > 0


def use(second: float, cpu: float, memory: int = 100, **other: int) -> ContainerUse:
    return ContainerUse(round(second * NS), round(second * NS), cpu, memory, **other)


def test_a_span_has_the_mean_and_the_worst_second():
    bench, told = Bench(), {"pg1": use(0, 10.0, 100, written_bytes=1000)}
    spans = ContainerSpans(lambda: told)
    spans.on_event(event(Kind.STAGE))
    for second, (cpu, memory, written) in enumerate(((10.2, 100, 1500), (11.2, 300, 1600), (11.3, 200, 1900)), start=1):
        told = {"pg1": use(second, cpu, memory, written_bytes=written)}
        spans.on_tick(bench.recorder)
        spans.on_tick(bench.recorder)  # nothing new was told since
    spans.on_event(event(Kind.STAGE, name="drain"))
    told = {"pg1": use(9, 99.0, 999)}
    spans.on_tick(bench.recorder)
    (report,) = spans.reports()
    load = report.load
    assert (report.member, load.seconds) == ("pg1", 3.0)
    assert (load.cpu_mean, load.cpu_max) == (0.433, 1.0)
    assert (load.memory_mean_bytes, load.memory_max_bytes) == (200, 300)
    assert (load.written_bytes, load.read_bytes) == (900, None)


def test_a_fault_has_a_span_of_its_own():
    bench, told = Bench(), {"pg1": use(0, 0.0)}
    spans = ContainerSpans(lambda: told)
    spans.on_event(event(Kind.STAGE))
    for second in range(1, 9):
        told = {"pg1": use(second, second * (0.1 if second < 4 else 0.5))}
        if second == 4:
            spans.on_event(event(Kind.FAULT_INJECTING))
        spans.on_tick(bench.recorder)
        if second == 6:
            spans.on_event(event(Kind.FAULT_HEALED))
    (report,) = spans.reports()
    assert list(report.faults) == ["leader-dies"]
    assert (report.faults["leader-dies"].seconds, report.faults["leader-dies"].cpu_mean) == (2.0, 0.5)


def test_the_file_has_a_line_a_second_of_the_measurement(tmp_path: Path):
    bench, told = Bench(), {"pg1": use(0, 1.0)}
    sink = ContainersFile(tmp_path / "containers.jsonl", ANCHOR, lambda: told)
    sink.on_tick(bench.recorder)  # still warming up
    sink.on_event(event(Kind.STAGE))
    for second in (1, 2):
        bench.now_ns = T0 + second * NS
        told = {"pg1": use(second, 1.0 + second / 4, 7, receive_bytes=second)}
        sink.on_tick(bench.recorder)
    bench.now_ns = T0 + 3 * NS
    sink.on_tick(bench.recorder)
    sink.close()
    rows = [json.loads(line) for line in (tmp_path / "containers.jsonl").read_text().splitlines()]
    assert [row["at_s"] for row in rows] == [1.0, 2.0, 3.0]
    assert rows[1] == {
        "at_s": 2.0,
        "wall": "2026-03-01T12:00:02.000Z",
        "containers": {
            "pg1": {
                "cpu": 0.25,
                "memory_bytes": 7,
                "cpu_s": 1.5,
                "read_bytes": None,
                "written_bytes": None,
                "receive_bytes": 2,
                "transmit_bytes": None,
            }
        },
    }
    assert rows[2]["containers"]["pg1"]["cpu"] is None, "nothing new was told"
