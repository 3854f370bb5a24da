"""A scenario on a disk that is really full for a while: nothing is torn, the measurement is whole, and it is said."""

from __future__ import annotations

import errno
import io
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from rich.console import Console
from test_run import Rig, pause, scenario

from chaosbench.events import Kind
from chaosbench.journal import directory as journal_directory
from chaosbench.journal.directory import DiskJournal
from chaosbench.model.scenario import StreamSettings
from chaosbench.report.intervals import read_intervals
from chaosbench.report.reading import RunResults, read_results
from chaosbench.results import write_durably, write_whole
from chaosbench.rolling.reserve import RESERVE
from chaosbench.scenarios.scenario import Stream
from chaosbench.scenarios.turns import Run, scenarios_in_turn
from chaosbench.sinks.prometheus import PrometheusSink
from chaosbench.workload import LedgerWorkload

T = TypeVar("T")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Four megabytes of it."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(place)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def fill(place: Path) -> None:
    with (place / "somebody else's").open("wb", buffering=0) as file:
        for size in (65_536, 4096):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError as error:
                assert error.errno == errno.ENOSPC


def free(place: Path) -> None:
    (place / "somebody else's").unlink()


async def inline(work: Callable[[], T]) -> T:
    """Virtual time waits for no thread."""
    return work()


def journal_on(place: Path, monkeypatch: pytest.MonkeyPatch) -> DiskJournal:
    monkeypatch.setattr(journal_directory, "_off_the_loop", inline)
    journal = DiskJournal(place / "state")
    journal.prepare()
    return journal


async def run(rig: Rig, place: Path, journal: DiskJournal) -> tuple[str, RunResults, str]:
    """80 s with a fault at 20 s and one at 65 s; what was printed, the results, and the metrics at the end."""
    from dataclasses import replace

    metrics = PrometheusSink(0)
    rig.bench.hub.add(metrics)
    console = Console(file=io.StringIO(), width=200)
    few = StreamSettings(rate="30/s", connections=2)  # type: ignore[arg-type]
    soak = scenario(
        (20.0, pause()),
        (65.0, pause()),
        streams=(Stream(name="ledger", workload=LedgerWorkload(), settings=few),),
        duration=80.0,
    )
    bench = replace(rig.bench, journal=journal)
    await scenarios_in_turn(
        Run(bench=bench, file=Path("f.yaml"), scenarios=(soak,), out=place / "runs", console=console)
    )
    assert isinstance(console.file, io.StringIO)
    found = read_results(place / "runs" / "latest") if (place / "runs" / "latest" / "summary.json").exists() else None
    assert isinstance(found, RunResults), "the summary is there"
    return console.file.getvalue(), found, (await metrics.render()).decode()


def events(results: RunResults) -> list[dict[str, Any]]:
    """Every line of the file, each of them whole."""
    return [json.loads(line) for line in (results.path / "events.jsonl").read_text().splitlines()]


@pytest.mark.looptime(noop_cycles=0)
async def test_a_disk_that_is_full_for_a_while(small_disk: Path, monkeypatch: pytest.MonkeyPatch):
    rig, journal = Rig(), journal_on(small_disk, monkeypatch)
    rig.at(10.0, lambda: fill(small_disk))
    rig.at(52.0, lambda: free(small_disk))
    _, results, metrics = await run(rig, small_disk, journal)
    summary = results.summary

    # What was measured is whole: the log holds every operation of the summary, those of the gap included.
    assert summary.load.attempted == pytest.approx(80 * 30, abs=60)
    assert results.intervals is not None
    log = read_intervals(results.intervals, summary.duration_s)
    assert log.totals["write-ok-response"].total == summary.load.ok
    gap = max(each.length_s for each in log.bins)
    assert 30 < gap < 50, "one interval holds the time without room"

    # It is said: as events, as metrics, in the summary.
    told = {row["kind"]: row for row in events(results) if row.get("file") == "intervals.hlog"}
    assert told["disk_full"]["error"] == "No space left on device"
    assert 30 < told["disk_room"]["duration_s"] < 50
    assert any("intervals.hlog cannot be written (No space left on device)" in text for text in summary.warnings)
    assert 'chaosbench_disk_full{file="intervals.hlog"} 0.0' in metrics

    # A fault that could not be written down was not done; the later one was, and nothing is left open.
    early, late = summary.faults
    assert early.injected_at_s is None
    assert "No space left on device; nothing was done" in str(early.error)
    assert late.injected_at_s == pytest.approx(65, abs=1)
    assert journal.read().deeds == ()
    assert rig.whole()
    assert sorted(path.name for path in results.path.iterdir()) == [
        *("containers.jsonl", "events.jsonl", "faults.jsonl", "intervals.hlog", "summary.json", "usage.jsonl")
    ]


@pytest.mark.looptime(noop_cycles=0)
async def test_a_disk_that_stays_full_still_has_room_for_the_summary(small_disk: Path, monkeypatch: pytest.MonkeyPatch):
    rig, journal = Rig(), journal_on(small_disk, monkeypatch)
    rig.at(10.0, lambda: fill(small_disk))
    said, results, _ = await run(rig, small_disk, journal)
    assert "results in" in said
    assert results.summary.load.attempted == pytest.approx(80 * 30, abs=60)
    assert [fault.injected_at_s for fault in results.summary.faults] == [None, None]
    assert any("cannot be written" in text for text in results.summary.warnings)
    assert not (results.path / RESERVE).exists()

    # What is left of the reserve takes what still waited: the log ends whole, and so do the events.
    assert [row["kind"] for row in events(results) if row.get("file") == "intervals.hlog"][:1] == ["disk_full"]
    assert results.intervals is not None
    log = read_intervals(results.intervals, results.summary.duration_s)
    assert log.totals["write-ok-response"].total == results.summary.load.ok
    assert not [event for event in rig.watcher.events if event.kind is Kind.SINK_FAILED]


@pytest.mark.parametrize("write", [write_whole, write_durably])
def test_half_a_summary_is_never_left(small_disk: Path, write: Callable[[Path, bytes], Path]):
    write(small_disk / "summary.json", b"{}")
    with pytest.raises(OSError, match="No space left"):
        write(small_disk / "summary.json", b'{"new": "' + b"x" * 5_000_000 + b'"}')
    assert [path.name for path in small_disk.iterdir()] == ["summary.json"]
    assert (small_disk / "summary.json").read_text() == "{}\n"
