"""Rolled files: closed, compressed, numbered, deleted when asked, read back as one stream; whole on a full disk."""

from __future__ import annotations

import errno
import gzip
import os
from pathlib import Path

import pytest
from disks import SmallDisk

from chaosbench.clock import NS
from chaosbench.errors import UsageError
from chaosbench.rolling import Keep, Limits, Rolled, keep_of, packing
from chaosbench.rolling.reading import exists, lines_of
from chaosbench.rolling.reserve import RESERVE, RESERVE_BYTES, reserved
from chaosbench.rolling.writer import PROBE_NS, RollingFile


def names(place: Path) -> list[str]:
    return sorted(path.name for path in place.iterdir())


def written(place: Path, lines: int, rolled: Rolled) -> Path:
    """A file of so many lines of ten bytes, one a second."""
    path = place / "events.jsonl"
    file = RollingFile(path, rolled)
    for number in range(lines):
        assert file.write(f"line {number:04d}\n", number * NS)
    file.close()
    return path


def stored(part: Path) -> None:
    """Packed, but not made smaller: 50 bytes become 73."""
    stat = part.stat()
    packed = part.with_name(part.name + ".gz")
    packed.write_bytes(gzip.compress(part.read_bytes(), 0))
    os.utime(packed, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    part.unlink()


def test_a_short_run_has_one_plain_file(tmp_path: Path):
    path = written(tmp_path, 50, Rolled())
    assert names(tmp_path) == ["events.jsonl"]
    assert path.read_text().splitlines() == [f"line {number:04d}" for number in range(50)]


@pytest.mark.parametrize("limits", [Limits(size=100), Limits(age=9.0)], ids=["size", "age"])
def test_parts_are_closed_compressed_and_read_as_one(tmp_path: Path, limits: Limits):
    path = written(tmp_path, 35, Rolled(limits))
    assert names(tmp_path) == [*(f"events-000{number}.jsonl.gz" for number in (1, 2, 3)), "events.jsonl"]
    assert gzip.decompress((tmp_path / "events-0002.jsonl.gz").read_bytes()).startswith(b"line 0010\n")
    told: list[str] = []
    assert list(lines_of(path, told.append)) == [f"line {number:04d}\n" for number in range(35)]
    assert told == []


def test_every_part_begins_with_the_head(tmp_path: Path):
    file = RollingFile(tmp_path / "intervals.hlog", Rolled(Limits(size=30)))
    file.begin("#head\n")
    for number in range(5):
        file.write(f"line {number:04d}\n", number)
    file.close()
    assert [line.strip() for line in lines_of(tmp_path / "intervals.hlog")] == [
        *("#head", "line 0000", "line 0001", "line 0002"),
        *("#head", "line 0003", "line 0004"),
    ]


def test_more_than_9999_parts_stay_in_order(tmp_path: Path):
    for number in (9999, 10_000, 10_001):
        (tmp_path / f"events-{number}.jsonl").write_text(f"{number}\n")
    told: list[str] = []
    assert list(lines_of(tmp_path / "events.jsonl", told.append)) == ["9999\n", "10000\n", "10001\n"]
    assert told == ["events.jsonl: parts 1 to 9998 are not there any more"]
    assert exists(tmp_path / "events.jsonl")
    assert not exists(tmp_path / "intervals.hlog")


@pytest.mark.parametrize(
    ("keep", "left", "why"),
    [
        (Keep(), [1, 2, 3, 4, 5], None),
        (Keep(age=12.0), [3, 4, 5], "older than 0.00333333 h"),
        (Keep(size=150), [4, 5], "more than 0.00015 MB"),
        (Keep(age=12.0, size=1), [], "more than 1e-06 MB"),
    ],
)
def test_the_oldest_parts_are_deleted_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep: Keep, left: list[int], why: str | None
):
    monkeypatch.setattr(packing, "_pack", stored)
    (tmp_path / "summary.json").write_text("never touched" * 100)
    (tmp_path / "some-0001.txt").write_text("nor this")
    rolled = Rolled(Limits(size=50), keep)
    path = written(tmp_path, 27, rolled)
    found = [name for name in names(tmp_path) if name.endswith(".gz")]
    assert found == [f"events-{number:04d}.jsonl.gz" for number in left]
    news = rolled.news()
    removed = [part for one in news for part in one.parts]
    gone = [f"events-{number:04d}.jsonl" for number in range(1, 6) if number not in left]
    assert [name.removesuffix(".gz") for name in removed] == gone
    assert ({one.why for one in news} == {why}) if why and left else True
    assert {"summary.json", "some-0001.txt", "events.jsonl"} <= set(names(tmp_path))
    told: list[str] = []
    assert len(list(lines_of(path, told.append))) == 2 + 5 * len(left)
    assert told == ([f"events.jsonl: parts 1 to {left[0] - 1} are not there any more"] if left and left[0] > 1 else [])


def test_the_age_of_a_part_is_that_of_the_runs_own_clock(tmp_path: Path):
    rolled = Rolled(Limits(size=50), Keep(age=3600.0), date=lambda at_ns: 1_000_000 + at_ns / NS)
    written(tmp_path, 12, rolled)
    assert [name for name in names(tmp_path) if name.endswith(".gz")], "the wall clock is decades later"
    assert (tmp_path / "events-0001.jsonl.gz").stat().st_mtime == 1_000_004


def test_a_line_that_was_cut_short_is_left_out_with_a_note_and_never_continued(tmp_path: Path):
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"one\ntwo\nthr")
    told: list[str] = []
    assert list(lines_of(path, told.append)) == ["one\n", "two\n"]
    assert told == ["events.jsonl: its last line was cut short and is left out"]
    file = RollingFile(path)
    file.write("four\n", 0)
    file.close()
    assert path.read_bytes() == b"one\ntwo\nfour\n"


@pytest.mark.parametrize("long", [b"", b"x" * 200_000], ids=["nothing", "longer than a block"])
def test_a_file_that_is_nothing_but_half_a_line_begins_anew(tmp_path: Path, long: bytes):
    path = tmp_path / "events.jsonl"
    path.write_bytes(long)
    RollingFile(path).close()
    assert path.read_bytes() == b""


def test_a_compressed_part_that_is_cut_short_gives_what_it_has(tmp_path: Path):
    whole = gzip.compress(b"".join(f"line {number}\n".encode() for number in range(20_000)))
    (tmp_path / "events-0001.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    told: list[str] = []
    found = list(lines_of(tmp_path / "events.jsonl", told.append))
    assert found == [f"line {number}\n" for number in range(len(found))]
    assert 0 < len(found) < 20_000
    assert told == ["events-0001.jsonl.gz: its last line was cut short and is left out"]


def test_who_was_killed_while_compressing_leaves_nothing_twice(tmp_path: Path):
    (tmp_path / "events-0001.jsonl").write_text("one\n")
    (tmp_path / "events-0001.jsonl.gz").write_bytes(gzip.compress(b"one\n"))
    (tmp_path / "events-0002.jsonl").write_text("two\n")
    path = tmp_path / "events.jsonl"
    assert list(lines_of(path)) == ["one\n", "two\n"]
    packing.pack_all(path)
    assert names(tmp_path) == ["events-0001.jsonl.gz", "events-0002.jsonl.gz"]
    assert list(lines_of(path)) == ["one\n", "two\n"]


def test_a_part_that_cannot_be_compressed_for_want_of_room_stays_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    part = tmp_path / "events-0001.jsonl"
    part.write_text("one\n")

    def full(*args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(packing.os, "utime", full)  # the last step before it would be moved to its place
        packing.pack_all(tmp_path / "events.jsonl")
    assert names(tmp_path) == ["events-0001.jsonl"]
    packing.pack_all(tmp_path / "events.jsonl")
    assert names(tmp_path) == ["events-0001.jsonl.gz"]


def test_a_full_disk_takes_all_of_a_piece_or_nothing_and_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    disk = SmallDisk(monkeypatch, room=25)
    path = tmp_path / "events.jsonl"
    rolled = Rolled()
    file = RollingFile(path, rolled)
    assert file.write("line 0000\nline 0001\n", 0)
    assert not file.write("line 0002\n", NS)
    assert path.read_bytes() == b"line 0000\nline 0001\n", "the five bytes that fitted are gone again"
    assert [(one.what, one.since_ns) for one in rolled.news()] == [("full", NS)]
    disk.room = 1000
    assert not file.write("line 0003\n", NS + PROBE_NS - 1), "not asked more often than every five seconds"
    file.lose(3)
    assert file.full
    assert file.write("line 0004\n", NS + PROBE_NS)
    assert [(one.what, one.since_ns, one.until_ns, one.lost) for one in rolled.news()] == [
        ("room", NS, NS + PROBE_NS, 3)
    ]
    file.close()
    assert path.read_bytes() == b"line 0000\nline 0001\nline 0004\n"


def test_a_full_disk_is_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    SmallDisk(monkeypatch, room=0)
    rolled = Rolled()
    file = RollingFile(tmp_path / "events.jsonl", rolled)
    for second in range(60):
        assert not file.write("line\n", second * NS)
    assert [one.what for one in rolled.news()] == ["full"]


def test_another_error_of_the_file_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = RollingFile(tmp_path / "events.jsonl")

    def broken(data: bytes) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(file, "_append", broken)
    with pytest.raises(OSError, match="Input/output"):
        file.write("line\n", 0)


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        ([], Keep()),
        (["7d"], Keep(age=604_800.0)),
        (["500MB"], Keep(size=524_288_000)),
        (["2d", "1GB"], Keep(172_800.0, 1_073_741_824)),
    ],
)
def test_what_keep_asks_for(texts: list[str], found: Keep):
    assert keep_of(texts) == found


@pytest.mark.parametrize("text", ["7", "seven", "7d5", "5TB", "-1d"])
def test_a_keep_that_is_neither(text: str):
    with pytest.raises(UsageError, match="write an age, as in 7d, or a size of all parts, as in 2GB"):
        keep_of([text])


def test_room_is_kept_back_for_what_is_written_last(tmp_path: Path):
    with reserved(tmp_path) as reserve:
        assert (tmp_path / RESERVE).stat().st_blocks * 512 >= RESERVE_BYTES
        reserve.give()
        assert names(tmp_path) == []
        reserve.give()
    with reserved(tmp_path / "not there"):
        pass
