"""A run of an hour by the second; in a longer one by the minute where nothing happens, and a day that fits."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path

import pytest
from sinks_cases import ANCHOR, T0, Bench, event

from chaosbench.clock import NS
from chaosbench.events import Kind
from chaosbench.histogram import Histogram
from chaosbench.model.containers import ContainerUse
from chaosbench.outcome import OpClass
from chaosbench.report.containers import read_containers
from chaosbench.report.intervals import read_intervals
from chaosbench.rolling import Rolled, packing
from chaosbench.rolling.reading import lines_of
from chaosbench.sinks import interval_log
from chaosbench.sinks.containers_file import ContainersFile
from chaosbench.sinks.grain import Grain
from chaosbench.sinks.interval_log import IntervalLog

HOUR, DAY = 3600, 86_400
FAULTS_A_DAY = 144


def due(grain: Grain, seconds: Iterable[int]) -> list[int]:
    return [second for second in seconds if grain.due(T0 + second * NS, T0)]


def tell(grain: Grain, kind: Kind, second: float) -> None:
    grain.event(event(kind, second))


def test_the_first_hour_is_by_the_second_and_then_by_the_minute():
    grain = Grain()
    assert due(grain, range(1, HOUR)) == list(range(1, HOUR))
    assert due(grain, range(HOUR, HOUR + 200)) == [HOUR - 1 + 60, HOUR - 1 + 120, HOUR - 1 + 180]


def test_around_a_fault_and_around_errors_it_is_by_the_second_again():
    grain, at = Grain(), 2 * HOUR
    due(grain, range(1, at))
    quiet = due(grain, range(at, at + 100))
    tell(grain, Kind.FAULT_INJECTING, at + 100)
    assert due(grain, range(at + 100, at + 130)) == list(range(at + 100, at + 130))
    tell(grain, Kind.WINDOW_OPENED, at + 130)
    tell(grain, Kind.FAULT_HEALED, at + 131)
    assert due(grain, range(at + 131, at + 200)) == list(range(at + 131, at + 200)), "the errors go on"
    tell(grain, Kind.WINDOW_CLOSED, at + 200)
    assert due(grain, range(at + 200, at + 320)) == [*range(at + 200, at + 210), at + 269]
    assert len(quiet) in (1, 2)


def test_what_never_ends_has_as_many_fine_lines_a_day_as_an_hour_has_seconds():
    grain = Grain()
    due(grain, range(1, HOUR))
    tell(grain, Kind.FAULT_INJECTING, HOUR)
    found = due(grain, range(HOUR, HOUR + DAY))
    assert found[: HOUR // 2] == list(range(HOUR, HOUR + HOUR // 2))
    # Those saved up, those that come back in the day, and for the rest of it one every ten seconds.
    assert 3600 + 3600 < len(found) < 3600 + 3600 + DAY / 10
    assert max(other - one for one, other in pairwise(found)) == 10


def load(bench: Bench, rng: random.Random, seconds: int) -> None:
    """What 700 reads and 300 writes a second leave in a tally; a line of it is as long as one of the lab's."""
    for op_class, rate, median in ((OpClass.READ, 700, 5000.0), (OpClass.WRITE, 300, 9000.0)):
        tally = bench.tally(op_class)
        for histogram in (tally.response, tally.service):
            for _ in range(rate if seconds == 1 else rate * 2):
                histogram.record(round(rng.lognormvariate(0, 0.7) * median))
        tally.attempted += rate


def hour(place: Path, rng: random.Random, rolled: Rolled, log: IntervalLog, bench: Bench) -> dict[str, Histogram]:
    """The second hour of a run, with one fault of 30 s in it; what was counted."""
    containers = ContainersFile(place / "containers.jsonl", ANCHOR, lambda: uses(bench.now_ns, rng), rolled)
    for sink in (log, containers):
        sink.on_event(event(Kind.STAGE))
    busy = 0
    for second in range(HOUR, 2 * HOUR + 1):
        bench.now_ns = T0 + second * NS
        into = second - HOUR
        if into in (300, 330):
            kind = Kind.FAULT_INJECTING if into == 300 else Kind.FAULT_HEALED
            for sink in (log, containers):
                sink.on_event(event(kind, second))
        busy = 40 if into == 300 else max(0, busy - 1)
        if busy or second % 60 == 0:
            load(bench, rng, 1 if busy else 60)
        log.on_tick(bench.recorder)
        containers.on_tick(bench.recorder)
    log.close()
    containers.close()
    return {
        f"{tally.op_class}-ok-{kind}": getattr(tally, kind)
        for tally in bench.recorder.tallies
        for kind in ("response", "service")
    }


def uses(now_ns: int, rng: random.Random) -> dict[str, ContainerUse]:
    """Six members whose counters move as those of the lab do."""
    seconds = (now_ns - T0) / NS
    return {
        name: ContainerUse(
            now_ns,
            now_ns,
            seconds * 0.4 + rng.random(),
            250_000_000 + rng.randrange(9_000_000),
            int(seconds * 9000) + rng.randrange(9000),
            int(seconds * 900_000) + rng.randrange(90_000),
            int(seconds * 700_000) + rng.randrange(90_000),
            int(seconds * 800_000) + rng.randrange(90_000),
        )
        for name in ("etcd1", "pg1", "pg2", "pg3", "pgpool1", "secrets")
    }


def packed(place: Path, name: str, pack: Callable[[Path], None] = packing.pack_all) -> int:
    """Bytes of a file once it is closed and compressed."""
    path = place / name
    path.rename(place / f"{path.stem}-0001{path.suffix}")
    pack(path)
    return (place / f"{path.stem}-0001{path.suffix}.gz").stat().st_size


def test_a_day_without_raw_samples_is_below_50_mb_and_still_exact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(interval_log, "_BREATH_S", 0)
    rng, bench, rolled = random.Random(1), Bench(), Rolled()
    log = IntervalLog(tmp_path / "intervals.hlog", ANCHOR, rolled)
    counted = hour(tmp_path, rng, rolled, log, bench)

    read = read_intervals(tmp_path / "intervals.hlog", 2 * HOUR)
    assert {tag: read.totals[tag].counts for tag in counted} == {tag: one.counts for tag, one in counted.items()}
    assert len(read_containers(tmp_path / "containers.jsonl", 2 * HOUR)) == 6
    lines = [line for line in lines_of(tmp_path / "intervals.hlog") if line.startswith("Tag=read-ok-response")]
    a_second = sum(len(line) for line in lines if ",1.000000," in line) / sum(",1.000000," in line for line in lines)

    plain = (tmp_path / "intervals.hlog").stat().st_size
    containers = len((tmp_path / "containers.jsonl").read_text().splitlines())
    files = {name: packed(tmp_path, name) for name in ("intervals.hlog", "containers.jsonl")}
    # The first hour has a line a second and tag, a fault those of 40 s; they are compressed as well as those here.
    ratio = files["intervals.hlog"] / plain
    first, a_fault = 3600 * 8 * a_second * ratio, 40 * 8 * a_second * ratio
    a_line = files["containers.jsonl"] / containers
    day = {
        "intervals.hlog": first + 23 * files["intervals.hlog"] + (FAULTS_A_DAY - 23) * a_fault,
        "containers.jsonl": a_line * (3600 + 23 * 60 + FAULTS_A_DAY * 40),
    }
    print(
        {name: f"{size / 1e6:.1f} MB" for name, size in day.items()},
        f"first hour {first / 1e6:.1f} MB, a line {a_second:.0f} B, packed to {ratio:.2f}",
    )
    assert sum(day.values()) < 45e6, "5 MB are left for events and the summary"
