"""What befell the machine that measures: folded for the summary and the metrics, and bounded."""

from __future__ import annotations

import pytest
from sinks_cases import T0, Bench, event

from chaosbench import cli
from chaosbench.clock import NS
from chaosbench.events import Kind
from chaosbench.rolling import News, Rolled
from chaosbench.sinks.notices import TEXTS_KEPT, FilesTold, Notices


class Told:
    """A file that has things to tell."""

    def __init__(self, *news: News) -> None:
        self.waiting = list(news)

    def news(self) -> list[News]:
        found, self.waiting = self.waiting, []
        return found


def test_what_the_summary_and_the_metrics_say():
    notices = Notices()
    for kind in (Kind.DISK_FULL, Kind.DISK_ROOM, Kind.PARTS_REMOVED, Kind.CLOCK_STEPPED, Kind.WARNING, Kind.STAGE):
        notices.on_event(event(kind))
    assert notices.warnings() == (
        "events.jsonl cannot be written (No space left on device): measuring goes on, and writing once there is room",
        "events.jsonl is written again after 65 s, 12 lines lost",
        "events-0001.jsonl.gz deleted as asked: older than 168 h",
        "the wall clock jumped back by 3,600.000 s: measures and dates of this run do not follow it "
        "(it is -3,599.500 s off them now)",
    )
    assert (notices.full, notices.lost) == ({"events.jsonl": False}, {"events.jsonl": 12})
    assert (notices.removed, notices.steps) == (1, 1)


def test_a_week_of_them_stays_short():
    notices = Notices()
    for _ in range(1000):
        notices.on_event(event(Kind.CLOCK_STEPPED))
    assert len(notices.warnings()) == TEXTS_KEPT + 1
    assert notices.warnings()[-1] == "980 more of these: see events.jsonl"


def test_files_are_told_of_at_the_next_tick_and_at_the_end():
    bench, told = Bench(), list[tuple[Kind, dict[str, object]]]()
    full = News("events.jsonl", "full", T0, why="No space left on device")
    room = News("events.jsonl", "room", T0, T0 + 7 * NS, lost=3)
    gone = News("events.jsonl", "removed", parts=("events-0001.jsonl.gz",), why="more than 100 MB")
    file = Told(full)
    rolled = Rolled(files=[file])
    sink = FilesTold(rolled, lambda kind, **data: told.append((kind, data)))
    sink.on_tick(bench.recorder)
    sink.on_tick(bench.recorder)
    file.waiting = [room, gone]
    sink.close()
    assert told == [
        (Kind.DISK_FULL, {"file": "events.jsonl", "error": "No space left on device"}),
        (Kind.DISK_ROOM, {"file": "events.jsonl", "since_ns": T0, "duration_s": 7.0, "lost": 3}),
        (Kind.PARTS_REMOVED, {"parts": ["events-0001.jsonl.gz"], "reason": "more than 100 MB"}),
    ]


def test_a_keep_that_cannot_be_read_is_one_line_before_anything_is_touched(capsys: pytest.CaptureFixture[str]):
    assert cli.main(["run", "scenarios.yaml", "--keep", "a week"]) == 2
    assert capsys.readouterr().err == "--keep a week: write an age, as in 7d, or a size of all parts, as in 2GB\n"
