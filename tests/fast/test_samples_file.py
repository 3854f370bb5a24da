"""Raw samples: nothing is lost without a word, memory is bounded, the file says whether it is whole."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet
import pytest
from disks import SmallDisk
from sinks_cases import ANCHOR, T0, event

from chaosbench import cli
from chaosbench.clock import NS, Clock
from chaosbench.errors import UsageError
from chaosbench.events import Kind
from chaosbench.export import _inserts
from chaosbench.model.scenario import Windows
from chaosbench.outcome import OpClass, Outcome
from chaosbench.recorder.recorder import Recorder
from chaosbench.recorder.samples import Samples
from chaosbench.rolling import Rolled, patient
from chaosbench.sinks import samples_file
from chaosbench.sinks.samples_file import SamplesFile, require_pyarrow


def recorder(kept: int = 1000) -> Recorder:
    return Recorder(Clock(now=lambda: T0), Windows(), lambda event: None, Samples(kept))


def fill(target: Recorder, rows: int, first: int = 0) -> None:
    tally = target.tally("load", "insert", OpClass.WRITE)
    assert target.samples is not None
    for number in range(first, first + rows):
        target.samples.add(tally, Outcome.OK, "", (T0 + number, T0 + number + 1, T0 + number + 2), 3, 1, number + 1)


def metadata(path: Path) -> dict[str, str]:
    found = pyarrow.parquet.read_metadata(path).metadata
    return {key.decode(): value.decode() for key, value in found.items() if key.startswith(b"chaosbench.")}


def test_every_row_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(samples_file, "GROUP_ROWS", 3000)
    path = tmp_path / "samples.parquet"
    sink, source = SamplesFile(path, ANCHOR), recorder(20_000)
    sink.on_event(event(Kind.STAGE))
    for tick in range(3):
        fill(source, 2500, 2500 * tick)
        sink.on_tick(source)
    fill(source, 7, 7500)
    sink.close()
    table = pyarrow.parquet.read_table(path)
    assert table.column("row").to_pylist() == list(range(1, 7508))
    assert table.slice(0, 1).to_pylist() == [
        {
            "intended": 0,
            "sent": 1,
            "done": 2,
            "workload": "load",
            "operation": "insert",
            "class": "write",
            "outcome": "ok",
            "reason": "",
            "worker": 3,
            "attempts": 1,
            "row": 1,
            "node": None,
        }
    ]
    assert pyarrow.parquet.ParquetFile(path).num_row_groups == 3, "written as it fills, not at the end"
    started = ANCHOR.date(T0).isoformat()
    assert metadata(path) == {
        "chaosbench.started_at": started,
        "chaosbench.rows": "7507",
        "chaosbench.complete": "true",
    }


def test_rows_that_nobody_took_are_not_lost_in_silence(tmp_path: Path):
    path = tmp_path / "samples.parquet"
    sink, source = SamplesFile(path, ANCHOR), recorder(100)
    fill(source, 10)
    sink.on_tick(source)
    fill(source, 250, 10)
    assert source.samples is not None
    assert len(source.samples) == 100, "memory is bounded"
    with pytest.raises(OverflowError, match="samples end here"):
        sink.on_tick(source)
    sink._writer.join()
    assert pyarrow.parquet.read_table(path).num_rows == 10
    assert metadata(path)["chaosbench.complete"] == "false"


def test_a_disk_that_does_not_keep_up_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(samples_file, "WAITING_ROWS", 500)
    sink, source = SamplesFile(tmp_path / "samples.parquet", ANCHOR), recorder()
    fill(source, 501)
    with pytest.raises(OverflowError, match="the disk does not keep up"):
        sink.on_tick(source)


def test_a_full_disk_is_told_at_the_next_tick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(samples_file, "GROUP_ROWS", 1)
    sink, source = SamplesFile(tmp_path / "samples.parquet", ANCHOR), recorder()

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sink._writer, "_write_group", full)
    fill(source, 400)
    sink.on_tick(source)
    sink._writer._thread.join(5)
    with pytest.raises(OSError, match="No space left"):
        sink.on_tick(source)
    assert metadata(tmp_path / "samples.parquet")["chaosbench.complete"] == "false"


def test_rows_wait_while_the_disk_is_full_and_none_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(samples_file, "GROUP_ROWS", 1000)
    monkeypatch.setattr(patient, "PROBE_NS", NS // 200)
    disk, path = SmallDisk(monkeypatch, room=5000), tmp_path / "samples.parquet"
    rolled = Rolled()
    sink, source = SamplesFile(path, ANCHOR, rolled), recorder(20_000)
    for tick in range(5):
        fill(source, 1500, 1500 * tick)
        sink.on_tick(source)
    until(lambda: sink._writer._raw.full is not None)
    assert [news.what for news in rolled.news()] == ["full"]
    disk.room = 10_000_000
    sink.close()
    assert [(news.what, news.lost) for news in rolled.news()] == [("room", 0)]
    assert pyarrow.parquet.read_table(path).column("row").to_pylist() == list(range(1, 7501))
    assert metadata(path)["chaosbench.complete"] == "true"


def test_what_does_not_fit_into_memory_meanwhile_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(samples_file, "GROUP_ROWS", 1000)
    monkeypatch.setattr(samples_file, "WAITING_ROWS", 3000)
    monkeypatch.setattr(patient, "PROBE_NS", NS // 200)
    disk, path = SmallDisk(monkeypatch, room=0), tmp_path / "samples.parquet"
    rolled = Rolled()
    sink, source = SamplesFile(path, ANCHOR, rolled), recorder(20_000)
    until(lambda: True)
    fill(source, 1500)
    sink.on_tick(source)
    until(lambda: sink._writer._raw.full is not None)
    for tick in range(1, 5):
        fill(source, 1500, 1500 * tick)
        sink.on_tick(source)
    disk.room = 10_000_000
    sink.close()
    assert sum(news.lost for news in rolled.news()) == 4500
    assert pyarrow.parquet.read_table(path).num_rows == 3000
    assert metadata(path)["chaosbench.complete"] == "false"


def test_a_disk_that_is_full_to_the_end_leaves_no_file_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(samples_file, "GROUP_ROWS", 1000)
    monkeypatch.setattr(patient, "PROBE_NS", NS // 200)
    SmallDisk(monkeypatch, room=5000)
    sink, source = SamplesFile(tmp_path / "samples.parquet", ANCHOR), recorder(20_000)
    fill(source, 7500)
    sink.on_tick(source)
    until(lambda: sink._writer._raw.full is not None)
    with pytest.raises(OSError, match="No space left"):
        sink.close()
    assert [path.name for path in tmp_path.iterdir()] == ["samples.parquet.torn"]


def test_a_long_run_has_several_files_each_of_them_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(samples_file, "GROUP_ROWS", 1000)
    monkeypatch.setattr(samples_file, "PART_BYTES", 20_000)
    sink, source = SamplesFile(tmp_path / "samples.parquet", ANCHOR), recorder(20_000)
    for tick in range(4):
        fill(source, 2500, 2500 * tick)
        sink.on_tick(source)
    sink.close()
    parts = [*sorted(tmp_path.glob("samples-*.parquet")), tmp_path / "samples.parquet"]
    assert len(parts) > 2
    rows = [row for part in parts for row in pyarrow.parquet.read_table(part).column("row").to_pylist()]
    assert rows == list(range(1, 10_001))
    assert {metadata(part)["chaosbench.complete"] for part in parts} == {"true"}
    assert [insert.row for part in parts for insert in _inserts(part)] == rows


def until(condition: Callable[[], bool]) -> None:
    """Wait for what another thread does; 10 s at most."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_a_recorder_without_samples_is_passed_over(tmp_path: Path):
    path = tmp_path / "samples.parquet"
    sink = SamplesFile(path, ANCHOR)
    sink.on_tick(Recorder(Clock(now=lambda: T0), Windows(), lambda event: None))
    sink.close()
    assert pyarrow.parquet.read_table(path).num_rows == 0


def test_one_clear_line_where_pyarrow_is_missing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UsageError, match=r"pip install 'chaosbench\[samples\]'"):
        require_pyarrow()
    assert cli.main(["run", str(Path(__file__).parents[2] / "scenarios.yaml"), "--samples"]) == 2
    assert capsys.readouterr().err == "raw samples need pyarrow: pip install 'chaosbench[samples]'\n"


def test_stamps_are_whole_nanoseconds_of_a_week(tmp_path: Path):
    path = tmp_path / "samples.parquet"
    sink, source = SamplesFile(path, ANCHOR), recorder()
    week = 7 * 86_400 * NS
    tally = source.tally("load", "insert", OpClass.WRITE)
    assert source.samples is not None
    source.samples.add(tally, Outcome.SHED, "deadline", (T0 + week, None, T0 + week + 1), None, attempts=0)
    sink.on_tick(source)
    sink.close()
    (row,) = pyarrow.parquet.read_table(path).to_pylist()
    assert (row["intended"], row["sent"], row["done"], row["worker"], row["row"]) == (week, None, week + 1, None, None)
