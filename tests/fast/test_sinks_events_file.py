"""``events.jsonl``: one object a line, stamps as seconds of the run, and a full disk hurts nobody else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from disks import SmallDisk
from sinks_cases import ANCHOR, DATA, T0, Bench, event

from chaosbench.clock import NS
from chaosbench.events import Event, Kind
from chaosbench.rolling import Rolled
from chaosbench.sinks import events_file
from chaosbench.sinks.events_file import EventsFile, event_line
from chaosbench.sinks.hub import Hub
from chaosbench.sinks.notices import FilesTold


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_an_event_becomes_a_line(tmp_path: Path) -> None:
    sink = EventsFile(tmp_path / "events.jsonl", ANCHOR)
    sink.on_event(event(Kind.LEADER_CHANGED, 1.25, leader=None))
    sink.close()
    assert (tmp_path / "events.jsonl").read_text() == (
        '{"t": 1.25, "wall": "2026-03-01T12:00:01.250Z", "kind": "leader_changed", "leader": null, "was": "pg1"}\n'
    )


def test_every_kind_is_valid_json_with_its_data() -> None:
    for kind, data in DATA.items():
        row = json.loads(event_line(event(kind, 3.5), ANCHOR))
        assert (row["t"], row["kind"]) == (3.5, kind.value)
        assert set(row) == {"t", "wall", "kind"} | {
            key.removesuffix("_ns") + "_s" * key.endswith("_ns") for key in data
        }


@pytest.mark.parametrize(
    ("data", "written"),
    [
        ({"start_ns": T0 + 1_500_000}, {"start_s": 0.0015}),
        ({"start_ns": T0 - NS}, {"start_s": -1.0}),
        ({"end_ns": None}, {"end_s": None}),
        (
            {"window": {"start_ns": T0 + NS, "counts": {"failed": 2}}},
            {"window": {"start_s": 1.0, "counts": {"failed": 2}}},
        ),
        ({"columns_ns": "a text"}, {"columns_ns": "a text"}),
        ({"file": Path("a/b.yaml")}, {"file": "a/b.yaml"}),
        ({"text": "über"}, {"text": "über"}),
    ],
)
def test_stamps_become_seconds_of_the_run(data: dict[str, Any], written: dict[str, Any]) -> None:
    row = json.loads(event_line(Event(T0, Kind.WARNING, data), ANCHOR))
    assert {key: value for key, value in row.items() if key not in ("t", "wall", "kind")} == written


def test_time_has_microseconds() -> None:
    assert json.loads(event_line(Event(T0 + 1_234_567_891, Kind.WARNING, {}), ANCHOR))["t"] == 1.234568


def test_lines_are_kept_for_at_most_a_second_or_until_the_tick(tmp_path: Path) -> None:
    bench, path = Bench(), tmp_path / "events.jsonl"
    sink = EventsFile(path, ANCHOR)
    sink.on_event(event(Kind.STAGE, 0.2))
    assert rows(path) == []
    sink.on_event(event(Kind.STAGE, 1.3))
    assert [row["t"] for row in rows(path)] == [0.2, 1.3]
    sink.on_event(event(Kind.STAGE, 1.4))
    bench.now_ns = T0 + 2 * NS
    sink.on_tick(bench.recorder)
    assert [row["t"] for row in rows(path)] == [0.2, 1.3, 1.4]
    sink.close()


class Heard:
    name = "heard"

    def __init__(self) -> None:
        self.events: list[Event] = []

    def on_event(self, event: Event) -> None:
        self.events.append(event)

    def on_tick(self, recorder: object) -> None:
        pass

    def close(self) -> None:
        pass


def run(path: Path, seconds: int, disk: SmallDisk, room_at: int | None) -> tuple[list[dict[str, Any]], Heard]:
    """A run with a warning a second, on a disk that has room again at that second; and what a bystander heard."""
    bench, heard, rolled = Bench(), Heard(), Rolled()
    hub = Hub([], bench.clock)
    for sink in (EventsFile(path / "events.jsonl", ANCHOR, rolled), heard, FilesTold(rolled, hub.say)):
        hub.add(sink)
    for second in range(seconds):
        bench.now_ns = T0 + second * NS
        if second == room_at:
            disk.room = 1_000_000
        hub.say(Kind.WARNING, text=str(second))
        hub.tick(bench.recorder)
    hub.close()
    return rows(path / "events.jsonl"), heard


def test_a_full_disk_stops_the_writing_not_the_run_and_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, heard = run(tmp_path, 30, SmallDisk(monkeypatch, room=400), room_at=17)
    assert [one.data["text"] for one in heard.events if one.kind is Kind.WARNING] == [str(n) for n in range(30)]
    (full,) = [one for one in heard.events if one.kind is Kind.DISK_FULL]
    assert full.data == {"file": "events.jsonl", "error": "No space left on device"}
    assert [row["text"] for row in found if row["kind"] == "warning"] == [str(n) for n in range(30)], "they waited"
    (room,) = [row for row in found if row["kind"] == "disk_room"]
    assert (room["file"], room["lost"], 0 <= room["since_s"] < 10) == ("events.jsonl", 0, True)
    assert room["duration_s"] == pytest.approx(room["t"] - room["since_s"])
    assert not [one for one in heard.events if one.kind is Kind.SINK_FAILED]


def test_what_cannot_wait_any_longer_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events_file, "KEPT", 5)
    found, _ = run(tmp_path, 30, SmallDisk(monkeypatch, room=0), room_at=20)
    (room,) = [row for row in found if row["kind"] == "disk_room"]
    kept = [row["text"] for row in found if row["kind"] == "warning"]
    told = len(kept) + len([row for row in found if row["kind"] == "disk_full"])
    assert told + room["lost"] == 31, "30 warnings, and disk_full itself"
    assert room["lost"] > 10
    assert kept[-1] == "29"


def test_room_that_comes_just_before_the_end_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench, disk = Bench(), SmallDisk(monkeypatch, room=0)
    sink = EventsFile(tmp_path / "events.jsonl", ANCHOR)
    for second in range(3):
        bench.now_ns = T0 + second * NS
        sink.on_event(event(Kind.WARNING, second))
        sink.on_tick(bench.recorder)
    disk.room = 10_000
    sink.close()
    assert len(rows(tmp_path / "events.jsonl")) == 3


def test_a_disk_that_is_full_to_the_end_costs_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found, heard = run(tmp_path, 10, SmallDisk(monkeypatch, room=400), room_at=None)
    assert 0 < len(found) < 10, "and every line is whole"
    failures = [one.data for one in heard.events if one.kind is Kind.SINK_FAILED]
    assert failures == [{"sink": "events", "error": "OSError: [Errno 28] No space left on device"}]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_device_that_is_really_full() -> None:
    sink = EventsFile(Path("/dev/full"), ANCHOR)
    sink.on_event(event(Kind.WARNING, 0.1))
    with pytest.raises(OSError, match="No space left"):
        sink.close()


def test_a_later_scenario_does_not_overwrite_what_is_there(tmp_path: Path) -> None:
    for _ in range(2):
        sink = EventsFile(tmp_path / "events.jsonl", ANCHOR)
        sink.on_event(event(Kind.WARNING))
        sink.close()
    assert len(rows(tmp_path / "events.jsonl")) == 2
