"""``samples.parquet``: one row an operation, for whoever wants to redo the figures (``chaosbench run --samples``).

| column | type | meaning |
| --- | --- | --- |
| intended, sent, done | int64 | nanoseconds since the measurement began; ``sent`` null: never sent |
| workload, operation, class | string | the stream, what was done, and read, write or connect |
| outcome, reason | string | as in the summary; ``reason`` is empty for ok |
| worker | int32 | which connection; null when none ever had it |
| attempts | int8 | how often it was sent; with more than one, ``sent`` is the last time |
| row | int64 | the ledger's id; null where there is none |
| node | string | the node that acknowledged it; null where the workload does not ask (now: everywhere) |

Rows are in the order in which the operations ended. The file's own metadata
say when the measurement began and whether the rows are ``complete``. Memory is
bounded: the loop hands over a second's rows at a time, a thread turns them
into columns in small pieces, and row groups are written as they fill.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
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

SAMPLES = "samples.parquet"
GROUP_ROWS = 65_536
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
    not complete. One whose process was killed has no footer and cannot be read.
    """

    name = "samples"

    def __init__(self, path: Path, anchor: Anchor) -> None:
        self._writer = _Writer(path, anchor)
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

    def __init__(self, path: Path, anchor: Anchor) -> None:
        arrow = require_pyarrow()
        self._parquet = import_module("pyarrow.parquet")
        self._arrow = arrow
        self._schema = arrow.schema(
            [
                *((name, arrow.int64()) for name in ("intended", "sent", "done")),
                *((name, arrow.string()) for name in ("workload", "operation", "class", "outcome", "reason")),
                ("worker", arrow.int32()),
                ("attempts", arrow.int8()),
                ("row", arrow.int64()),
                ("node", arrow.string()),
            ]
        )
        self._anchor = anchor
        self._file = self._parquet.ParquetWriter(path, self._schema, compression="zstd")
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
            raise OverflowError(f"the disk does not keep up: {self._waiting} operations wait; samples end here")
        self._waiting += len(rows)
        self._queue.put((started_ns, rows))

    def end(self, *, complete: bool) -> None:
        """Write what waits and end the file, without waiting for that."""
        self._complete = complete
        self._queue.put(None)

    def join(self) -> None:
        """Wait for the file's end; raises what the thread met."""
        self._thread.join(_CLOSING_S)
        if self._thread.is_alive():
            raise TimeoutError(f"samples were not written within {_CLOSING_S:g} s")
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
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
                pieces.append(self._columns(piece))
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

    def _columns(self, rows: Sequence[Sample]) -> Any:
        tallies, outcomes, reasons, intended, sent, done, workers, attempts, ids, nodes = zip(*rows, strict=True)
        start = self._started_ns
        columns: tuple[Sequence[object], ...] = (
            [at - start for at in intended],
            [None if at is None else at - start for at in sent],
            [at - start for at in done],
            [tally.workload for tally in tallies],
            [tally.operation for tally in tallies],
            [tally.op_class.value for tally in tallies],
            [outcome.value for outcome in outcomes],
            reasons,
            workers,
            attempts,
            [row or None for row in ids],
            nodes,
        )
        arrays = [
            self._arrow.array(column, type=field.type) for column, field in zip(columns, self._schema, strict=True)
        ]
        return self._arrow.RecordBatch.from_arrays(arrays, schema=self._schema)

    def _finish(self) -> None:
        """Close the file, whatever happened before; a footer that cannot be written either changes nothing."""
        metadata = {
            "chaosbench.started_at": self._anchor.date(self._started_ns).isoformat(),
            "chaosbench.rows": str(self._written),
            "chaosbench.complete": str(self._complete and self._error is None).lower(),
        }
        try:
            self._file.add_key_value_metadata(metadata)
            self._file.close()
        except Exception as error:  # the first error is the one to tell
            self._error = self._error or error
