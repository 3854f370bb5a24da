"""Steps of the wall clock: noticed, with their size; what a run dates stays in order, what others date is put right."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sinks_cases import ANCHOR, T0, Bench, event

from chaosbench.clock import NS, Anchor, Clock, loop_clock
from chaosbench.events import Kind
from chaosbench.model.containers import ContainerUse
from chaosbench.sinks.container_spans import ContainerSpans
from chaosbench.sinks.containers_file import cores
from chaosbench.sinks.events_file import event_line
from chaosbench.wall_clock import LOOK_S, Step, WallClock, stamp

EPOCH = datetime.fromtimestamp(0, UTC)
HOUR_NS = 3600 * NS


def wall_of(at_ns: int, ahead_ns: int = 0) -> int:
    return (ANCHOR.date(at_ns) - EPOCH) // timedelta(microseconds=1) * 1000 + ahead_ns


class Wall:
    """Two clocks that a test sets by hand."""

    def __init__(self) -> None:
        self.now_ns, self.ahead_ns, self.slow_ns = T0, 0, 0
        self.clock = Clock(now=self._now)
        self.watch = WallClock(self.clock, ANCHOR, lambda: wall_of(self.now_ns, self.ahead_ns))

    def _now(self) -> int:
        self.now_ns += self.slow_ns
        return self.now_ns


@pytest.mark.parametrize("by_ns", [HOUR_NS, -HOUR_NS, NS // 2, -NS // 5])
def test_a_step_is_told_once_and_then_the_way_back(by_ns: int):
    wall = Wall()
    for second in range(10):
        wall.now_ns = T0 + second * NS
        assert wall.watch.look() is None
    wall.ahead_ns = by_ns
    assert wall.watch.look() == Step(by_ns / NS, by_ns / NS)
    assert wall.watch.look() is None
    wall.ahead_ns = 0
    assert wall.watch.look() == Step(-by_ns / NS, 0.0)


def test_what_is_no_step():
    wall = Wall()
    wall.ahead_ns = NS // 20
    assert wall.watch.look() is None, "below a tenth of a second"
    wall.slow_ns = NS
    wall.ahead_ns = HOUR_NS
    assert wall.watch.look() is None, "the clocks were read a second apart: the process was not running"
    wall.slow_ns = 0
    assert wall.watch.look() == Step(3600.0, 3600.0)


def test_small_steps_add_up():
    wall = Wall()
    told = []
    for number in range(1, 9):
        wall.ahead_ns = number * NS // 25
        told.append(wall.watch.look())
    assert [step.offset_s for step in told if step] == [0.12, 0.24]


@pytest.mark.looptime(noop_cycles=0)
async def test_it_is_looked_at_while_a_run_lasts():
    clock, told = loop_clock(), list[Step]()
    begun_ns = clock.now()
    anchor = Anchor(begun_ns, EPOCH)
    watch = WallClock(
        clock, anchor, lambda: clock.now() - begun_ns + (HOUR_NS if clock.now() > begun_ns + 5 * NS else 0)
    )
    watching = asyncio.create_task(watch.watch(told.append))
    await clock.sleep(5 + LOOK_S)
    watching.cancel()
    assert told == [Step(3600.0, 3600.0)]


def test_dates_of_events_stay_in_order_over_a_step_back():
    lines = [event_line(event(kind, second), ANCHOR) for second, kind in ((1, Kind.CLOCK_STEPPED), (2, Kind.WARNING))]
    assert ['"wall": "2026-03-01T12:00:01.000Z"' in lines[0], '"wall": "2026-03-01T12:00:02.000Z"' in lines[1]] == [
        True
    ] * 2


def test_what_the_engine_dates_is_put_right_after_a_step():
    real = Clock()
    anchor = real.anchor()
    stepped = Anchor(anchor.monotonic_ns, anchor.wall - timedelta(hours=1))  # the wall is an hour ahead of it by now
    heard_ns = real.now()
    wall_ns = (real.anchor().date(heard_ns) - EPOCH) // timedelta(microseconds=1) * 1000 - NS // 5
    assert abs(stamp(wall_ns, heard_ns, real, stepped) - (heard_ns - NS // 5)) < NS // 20
    assert stamp(wall_ns, heard_ns, real, anchor) == anchor.monotonic(wall_ns), "the run's anchor as long as it fits"


def use(second: int, cpu_s: float, stepped_s: int = 0) -> ContainerUse:
    return ContainerUse(T0 + second * NS, (1_000_000 + second + stepped_s) * NS, cpu_s, 1000 * second)


@pytest.mark.parametrize("by_s", [-3600, 3600])
def test_what_containers_use_survives_a_step_of_the_engines_clock(by_s: int):
    assert cores(use(11, 5.5, by_s), use(10, 5.0)) == 0.5
    seen = {"pg1": use(0, 0.0)}
    spans = ContainerSpans(lambda: seen)
    bench = Bench()
    spans.on_event(event(Kind.STAGE))
    for second in range(1, 11):
        seen["pg1"] = use(second, second * 0.5, by_s if second > 4 else 0)
        spans.on_tick(bench.recorder)
    (report,) = spans.reports()
    assert (report.load.seconds, report.load.cpu_mean, report.load.cpu_max) == (10.0, 0.5, 0.5)
    assert report.load.memory_max_bytes == 10_000


ASKING = re.compile(r"datetime\.now\(|\btime\.time\(|\btime\.time_ns|utcnow\(|st_mtime")


def test_nobody_takes_the_wall_clock_for_a_duration():
    """Who asks it, and for what: a new one has to be judged."""
    package = Path(__file__).parents[2] / "chaosbench"
    found = {
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        if ASKING.search(path.read_text(encoding="utf-8"))
    }
    assert found == {
        "clock.py",  # the anchor, once a run
        "wall_clock.py",  # to notice steps
        "journal/directory.py",  # dates for people, names of entries
        "guard/take_over.py",  # dates of the guard's log
        "scenarios/series.py",  # when a series began, for people
        "scenarios/keeping.py",  # when a soak's state was written: another process goes on, and has another clock
        "scenarios/segments.py",  # how long a soak was down, between two processes
        "cluster/patroni.py",  # holds Patroni's own date to it: both are the wall's
        "rolling/packing.py",  # parts are dated by the run's own clock
    }
