"""Rows: what the coordinator of a load on many workers does with one worker's answer, without anything around it."""

from __future__ import annotations

import asyncio
import pickle
import time
from collections.abc import Iterator

from bench.load import nobody
from bench.results import Row, measured
from chaosbench.clock import Clock
from chaosbench.distributed.folding import Folding
from chaosbench.distributed.gathering import NO_READS, GatheringLedger, GatheringRecorder
from chaosbench.distributed.offset import Offset
from chaosbench.distributed.wire import Answer
from chaosbench.ledger import Ledger
from chaosbench.model.scenario import Windows
from chaosbench.outcome import OpClass, Outcome
from chaosbench.recorder.recorder import Recorder
from chaosbench.share import Share
from chaosbench.staleness import Registers

ROUNDS = 51


def folding() -> Iterator[Row]:
    """What the coordinator does with an answer of one worker: alone, and with a thousand of something in it."""
    empty = [_fold(0, 0, 0) for _ in range(ROUNDS)]
    yield measured(
        "an answer folded, with 1,000 reads in it",
        [cost for cost, _ in empty],
        "µs",
        None,
        {"bytes": [size for _, size in empty]},
    )
    for name, amounts in (
        ("acknowledged write", (1000, 0, 0)),
        ("ledger row", (0, 1000, 0)),
        ("operation not ok", (0, 0, 1000)),
    ):
        found = [_fold(*amounts) for _ in range(ROUNDS)]
        extra = [(cost - other) / 1000 for (cost, _), (other, _) in zip(found, empty, strict=True)]
        sizes = [(size - other) / 1000 for (_, size), (_, other) in zip(found, empty, strict=True)]
        yield measured(f"... each {name} on top", extra, "µs", None, {"bytes": sizes})


def _fold(writes: int, rows: int, bad: int) -> tuple[float, float]:
    """CPU in µs to unpickle and fold one answer, and its size in bytes."""
    clock = Clock()
    begun = clock.now()
    recorder = GatheringRecorder(clock, 0, outages=True, samples=False)
    for number in range(1000):
        at = begun + number * 1000
        for kind, wanted in ((OpClass.READ, 1000), (OpClass.WRITE, writes)):
            if number < wanted:
                tally = recorder.tally("load", kind.value, kind)
                tally.attempted += 1
                tally.record_ok(at, at + 10_000, at + 200_000 + 7_000 * number)
        if number < bad:
            recorder.bad(recorder.tally("load", "read", OpClass.READ), Outcome.FAILED, "timeout", at, at, at + 1)
    ledger = GatheringLedger(1, Share(0, 1))
    for number in range(rows):
        row, at = ledger.attempt(), begun + number * 1000
        ledger.acknowledge(row, "10.0.0.1/00000001", 1000 + number, at, at + 1)
    answer = Answer(
        number=1,
        now_ns=clock.now() + 10**9,
        gains=(recorder.take(NO_READS),),
        ledger=ledger.take(),
        connected=0,
        backlog=0,
        cpu_s=0.0,
    )
    sent = pickle.dumps(answer)
    folding = Folding(Recorder(clock, Windows(), nobody), Ledger(1), Registers(1))
    folding.join(0, Share(0, 1))
    began = time.process_time_ns()
    folding.take(0, pickle.loads(sent), Offset(0, 0), 0)
    asyncio.run(folding.fold())
    return (time.process_time_ns() - began) / 1000, float(len(sent))
