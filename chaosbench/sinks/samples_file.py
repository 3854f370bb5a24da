"""``samples.parquet``: one row an operation, for whoever wants to redo the figures (``chaosbench run --samples``).

What the columns are is said in ``samples_columns.py``. Rows are in the order
in which the operations ended. The file's own metadata say when the measurement
began and whether the rows are ``complete``. Memory is bounded: the loop hands
over a second's rows at a time, a thread turns them into columns in small pieces,
and row groups are written as they fill. After :data:`PART_BYTES` the file is
closed as ``samples-0001.parquet``, and the next begun.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any

from chaosbench.clock import Anchor
from chaosbench.errors import UsageError
from chaosbench.events import Event
from chaosbench.recorder.recorder import Recorder
from chaosbench.recorder.samples import Sample
from chaosbench.rolling import News, Rolled, part_of, parts_of
from chaosbench.rolling.packing import expire
from chaosbench.rolling.patient import PatientFile
from chaosbench.sinks.samples_columns import columns, schema

SAMPLES = "samples.parquet"
GROUP_ROWS = 65_536
PART_BYTES = 256_000_000
WAITING_ROWS = 500_000
"""Rows that may wait for the disk; beyond that (about 125 MB) sampling ends."""
_PIECE = 1024
_BREATH_S = 0.0005
"""Rows turned into columns at a time (about 1 ms), and the pause after them: the load must not wait for longer."""
_CLOSING_S = 60.0


def require_pyarrow() -> Any:
    """pyarrow, or a UsageError that says how to get it."""
    try:
        return import_module("pyarrow")
    except ImportError:
        raise UsageError("raw samples need pyarrow: pip install 'chaosbench[samples]'") from None


class SamplesFile:
    """Takes the rows from the recorder and has them written.

    Raises, and is then dropped by the hub, when rows were lost because nobody
    took them in time, when the disk does not keep up, or when it failed
    (``OSError``). The file is closed well in each case, and says that it is
    not complete. While the disk is full the rows wait, and what does not fit
    into :data:`WAITING_ROWS` is given up and counted. A file that could not be
    ended even so is renamed to ``samples.parquet.torn``; one whose process was
    killed has no footer and cannot be read.
    """

    name = "samples"

    def __init__(self, path: Path, anchor: Anchor, rolled: Rolled | None = None) -> None:
        self._writer = _Writer(path, anchor, rolled or Rolled())
        self._recorder: Recorder | None = None

    def on_event(self, event: Event) -> None:
        """Events are not samples."""

    def on_tick(self, recorder: Recorder) -> None:
        """Take the rows that have come since the last tick."""
        if recorder.samples is None:
            return
        self._recorder = recorder
        full = recorder.samples.full
        rows = recorder.samples.take()
        try:
            if full:
                raise OverflowError(f"over {len(rows)} operations between two looks; samples end here")
            self._writer.put(recorder.started_ns, rows)
        except Exception:
            # The hub never calls a sink again that raised: what was kept is made a whole file here.
            self._writer.end(complete=False)
            raise

    def close(self) -> None:
        """Write the rest and close the file."""
        if self._recorder is not None:
            self.on_tick(self._recorder)
        self._writer.end(complete=True)
        self._writer.join()


class _Writer:
    """A thread that turns rows into Parquet."""

    def __init__(self, path: Path, anchor: Anchor, rolled: Rolled) -> None:
        arrow = require_pyarrow()
        self._parquet = import_module("pyarrow.parquet")
        self._arrow = arrow
        self._schema = schema(arrow)
        self._anchor = anchor
        self._path = path
        self._rolled = rolled
        self._news: deque[News] = deque(maxlen=1000)
        self._lost = self._lost_told = self._number = 0
        self._now = time.monotonic_ns
        self._raw = self._opened()
        self._file: Any = None
        rolled.files.append(self)
        self._queue: SimpleQueue[tuple[int, Sequence[Sample]] | None] = SimpleQueue()
        self._waiting = 0
        self._error: Exception | None = None
        self._complete = False
        self._started_ns = 0
        self._written = 0
        self._thread = Thread(target=self._run, name="samples", daemon=True)
        self._thread.start()

    def put(self, started_ns: int, rows: Sequence[Sample]) -> None:
        """Have these rows written; ``started_ns`` is where their time begins."""
        if self._error is not None:
            raise self._error
        if self._waiting + len(rows) > WAITING_ROWS:
            if self._raw.full is not None:
                self._lost += len(rows)
                return
            raise OverflowError(f"the disk does not keep up: {self._waiting} operations wait; samples end here")
        self._waiting += len(rows)
        self._queue.put((started_ns, rows))

    def end(self, *, complete: bool) -> None:
        """Write what waits and end the file, without waiting for that."""
        self._complete = complete
        self._queue.put(None)

    def join(self) -> None:
        """Wait for the file's end; raises what the thread met."""
        self._thread.join(2 * self._raw.probe_s)
        if self._raw.full is not None:
            self._raw.give_up()
        self._thread.join(_CLOSING_S)
        if self._thread.is_alive():
            raise TimeoutError(f"samples were not written within {_CLOSING_S:g} s")
        if self._error is not None:
            raise self._error

    def news(self) -> list[News]:
        """What has happened to the file since the last call."""
        found = []
        while self._news:
            found.append(self._news.popleft())
        return found

    def _heard(self, news: News) -> None:
        lost, self._lost_told = self._lost - self._lost_told, self._lost
        self._news.append(replace(news, lost=lost) if news.what == "room" else news)

    def _opened(self) -> PatientFile:
        return PatientFile(self._path, self._now, self._heard)

    def _begin(self) -> None:
        """In the thread: the first bytes are written here, and may have to wait for room."""
        self._file = self._parquet.ParquetWriter(self._raw, self._schema, compression="zstd")

    def _run(self) -> None:
        try:
            self._begin()
            self._write_all()
        except Exception as error:  # told at the next tick, by whoever may end the sink
            self._error = error
        finally:
            self._finish()

    def _write_all(self) -> None:
        pieces: list[Any] = []
        rows_in_group = 0
        while (item := self._queue.get()) is not None:
            self._started_ns, rows = item
            for first in range(0, len(rows), _PIECE):
                piece = rows[first : first + _PIECE]
                pieces.append(columns(self._arrow, self._schema, self._started_ns, piece))
                rows_in_group += len(piece)
                if rows_in_group >= GROUP_ROWS:
                    self._write_group(pieces)
                    pieces, rows_in_group = [], 0
                time.sleep(_BREATH_S)
            self._waiting -= len(rows)
        self._write_group(pieces)

    def _write_group(self, pieces: list[Any]) -> None:
        if pieces:
            table = self._arrow.Table.from_batches(pieces, self._schema)
            self._file.write_table(table, row_group_size=GROUP_ROWS * 2)
            self._written += table.num_rows
            if self._raw.tell() >= PART_BYTES:
                self._roll()

    def _roll(self) -> None:
        """Close this part and begin the next."""
        self._end_file(complete=self._lost == 0)
        self._number = max([self._number, *(number for number, _ in parts_of(self._path))]) + 1
        part = part_of(self._path, self._number)
        self._path.rename(part)
        now = self._rolled.date(self._now())
        os.utime(part, (now, now))
        for why, parts in expire(self._path.parent, self._rolled.keep, now):
            self._news.append(News(self._path.name, "removed", parts=parts, why=why))
        self._raw = self._opened()
        self._begin()

    def _finish(self) -> None:
        """End the file, whatever happened before; one that cannot be ended is not left under its name."""
        try:
            self._end_file(complete=self._complete and self._error is None and self._lost == 0)
        except Exception as error:  # the first error is the one to tell
            self._error = self._error or error
        finally:
            self._raw.close()
            if self._raw.torn and self._path.is_file():
                self._path.rename(self._path.with_name(self._path.name + ".torn"))

    def _end_file(self, *, complete: bool) -> None:
        metadata = {
            "chaosbench.started_at": self._anchor.date(self._started_ns).isoformat(),
            "chaosbench.rows": str(self._written),
            "chaosbench.complete": str(complete).lower(),
        }
        self._file.add_key_value_metadata(metadata)
        self._file.close()
        self._raw.close()
        self._written = 0
