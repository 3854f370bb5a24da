"""The columns of ``samples.parquet``, one row an operation.

| column | type | meaning |
| --- | --- | --- |
| intended, sent, done | int64 | nanoseconds since the measurement began; ``sent`` null: never sent |
| workload, operation, class | string | the stream, what was done, and read, write or connect |
| outcome, reason | string | as in the summary; ``reason`` is empty for ok |
| worker | int32 | which connection; null when none ever had it |
| attempts | int8 | how often it was sent; with more than one, ``sent`` is the last time |
| row | int64 | the ledger's id; null where there is none |
| node | string | the node that acknowledged it; null where the workload does not ask (now: everywhere) |
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chaosbench.recorder.samples import Sample


def schema(arrow: Any) -> Any:
    """The columns' names and types, as pyarrow has them."""
    return arrow.schema(
        [
            *((name, arrow.int64()) for name in ("intended", "sent", "done")),
            *((name, arrow.string()) for name in ("workload", "operation", "class", "outcome", "reason")),
            ("worker", arrow.int32()),
            ("attempts", arrow.int8()),
            ("row", arrow.int64()),
            ("node", arrow.string()),
        ]
    )


def columns(arrow: Any, schema: Any, started_ns: int, rows: Sequence[Sample]) -> Any:
    """These rows as a batch of columns; their time begins at ``started_ns``."""
    tallies, outcomes, reasons, intended, sent, done, workers, attempts, ids, nodes = zip(*rows, strict=True)
    values: tuple[Sequence[object], ...] = (
        [at - started_ns for at in intended],
        [None if at is None else at - started_ns for at in sent],
        [at - started_ns for at in done],
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
    arrays = [arrow.array(column, type=field.type) for column, field in zip(values, schema, strict=True)]
    return arrow.RecordBatch.from_arrays(arrays, schema=schema)
