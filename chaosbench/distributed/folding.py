"""What all workers tell, folded into the run's own recorder, ledger and registers, as if one process had seen it.

Counts and histograms are added as they come. Whatever depends on order (error
windows, outages, who served when, raw samples) waits until every worker has
told all that it knows up to that time, and is then folded in the order in which
it happened. So these lag a few tenths of a second behind.
"""

from __future__ import annotations

import asyncio
import sys
from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from chaosbench.distributed.gathering import nth_row
from chaosbench.distributed.offset import Offset
from chaosbench.distributed.wire import Answer, Gain, Key, LedgerGain, Row
from chaosbench.ledger import Ledger
from chaosbench.outcome import OpClass, Outcome
from chaosbench.recorder.recorder import Recorder
from chaosbench.share import Share
from chaosbench.staleness import Registers

AT_ONCE = 1000
"""Things folded in one go: about a millisecond."""
LOST = "worker_lost"
"""The reason of operations that were in flight on a worker that was lost."""

_Happened = tuple[int, int, Callable[..., Any], tuple[Any, ...]]


@dataclass(slots=True)
class _Told:
    """What one worker has told.

    until_ns:   all that ended until then, on our clock
    in_flight:  operations attempted and not ended, by epoch and tally
    """

    share: Share
    until_ns: int = 0
    made: int = 0
    attempted: int = 0
    suspect_ns: int = 0
    in_flight: Counter[tuple[int, Key]] = field(default_factory=Counter)


class Folding:
    """Takes the workers' answers.

    ``recorder`` is that of the warm-up; :meth:`record_in` gives the next one.
    ``attempted`` counts, by worker, what it has attempted in the measurement.
    """

    def __init__(self, recorder: Recorder, ledger: Ledger, registers: Registers) -> None:
        self._recorders = [recorder]
        self._ledger = ledger
        self._registers = registers
        self._workers: dict[int, _Told] = {}
        self._there: set[int] = set()
        self._early: list[tuple[int, Gain, Offset]] = []
        self._happened: list[_Happened] = []
        self._number = count()
        self._own_suspect_ns = 0

    @property
    def recorder(self) -> Recorder:
        """Where the present is recorded."""
        return self._recorders[-1]

    def join(self, index: int, share: Share) -> None:
        """A worker that will tell."""
        self._workers[index] = _Told(share)
        self._there.add(index)

    def record_in(self, recorder: Recorder) -> None:
        """The warm-up is over: what the workers count anew goes here."""
        self._recorders.append(recorder)
        self._own_suspect_ns = 0

    def attempted(self, index: int) -> int:
        """Operations that this worker has begun in the measurement."""
        return self._workers[index].attempted

    @property
    def watermark_ns(self) -> int:
        """Until when everything is known of everybody who is still there."""
        return min((self._workers[index].until_ns for index in self._there), default=sys.maxsize)

    def take(self, index: int, answer: Answer, offset: Offset, doubt_ns: int) -> None:
        """A worker's answer. ``doubt_ns``: by how much its stamps and another worker's may be in the wrong order."""
        early, self._early = self._early, []
        for theirs, gain, at in early:
            self._gain(theirs, gain, at)
        for gain in answer.gains:
            self._gain(index, gain, offset)
        told = self._workers[index]
        self._ledger_gain(told, answer.ledger, offset, doubt_ns)
        told.until_ns = sys.maxsize if answer.ended else offset.ours(answer.now_ns)

    def late(self, late_ns: int) -> bool:
        """The coordinator's own loop was late; True if it matters."""
        lag = self.recorder.lag
        before_ns = lag.suspect_ns
        suspect = lag.record(late_ns)
        self._own_suspect_ns += lag.suspect_ns - before_ns
        self._weigh_lag()
        return suspect

    async def fold(self) -> None:
        """Fold in what is known of everybody, by pieces: the loop has other things to do."""
        while True:
            self._happened.sort()
            known = bisect_right(self._happened, self.watermark_ns, key=_when)
            now = self._happened[: min(known, AT_ONCE)]
            del self._happened[: len(now)]
            for _, _, fold, what in now:
                fold(*what)
            if known <= AT_ONCE:
                return
            await asyncio.sleep(0)

    def lost(self, index: int, now_ns: int) -> int:
        """The worker is gone: what it had in flight is unknown. How many operations that is.

        It is counted with the time since the worker was last heard; no window opens and no outage hears of it,
        for it says nothing about the cluster.
        """
        told = self._workers[index]
        self._there.discard(index)
        unknown = 0
        for (epoch, (workload, operation, op_class)), number in told.in_flight.items():
            tally = self._recorders[epoch].tally(workload, operation, op_class)
            outcome = Outcome.FAILED if op_class is OpClass.CONNECT else Outcome.UNKNOWN
            tally.ended[outcome] += number
            tally.reasons[outcome, LOST] += number
            for _ in range(number):
                tally.response_bad.record((now_ns - told.until_ns) // 1000)
            unknown += number if outcome is Outcome.UNKNOWN and epoch == len(self._recorders) - 1 else 0
        self._ledger.orphan(range(nth_row(told.share, told.made), sys.maxsize, told.share.count))
        return unknown

    def _gain(self, index: int, gain: Gain, offset: Offset) -> None:
        if gain.epoch >= len(self._recorders):
            self._early.append((index, gain, offset))  # the coordinator is a moment behind its own word
            return
        told, recorder = self._workers[index], self._recorders[gain.epoch]
        for one in gain.tallies:
            tally = recorder.tally(*one.key)
            tally.attempted += one.attempted
            tally.add_ok(one.ok, one.response, one.service)
            told.in_flight[gain.epoch, one.key] += one.attempted - one.ok
            if gain.epoch and one.key[2] is not OpClass.CONNECT:
                told.attempted += one.attempted
        for key, *_ in gain.bad:
            told.in_flight[gain.epoch, key] -= 1
        self._happened.extend(self._in_order(recorder, gain, offset))
        if gain.epoch == len(self._recorders) - 1:
            recorder.lag.add(gain.lag.cells, 0, gain.lag.suspects)
            told.suspect_ns += gain.lag.suspect_ns if gain.epoch else 0
            self._weigh_lag()
        if gain.epoch:
            self._registers.reads.update(gain.registers.reads)
            self._registers.stale.update(gain.registers.stale)
            self._registers.ages.add_cells(gain.registers.ages)

    def _weigh_lag(self) -> None:
        """The share of time in which the generator was late is that of its worst process, not of all together."""
        theirs = (told.suspect_ns for told in self._workers.values())
        self.recorder.lag.suspect_ns = max(self._own_suspect_ns, *theirs, 0)

    def _in_order(self, recorder: Recorder, gain: Gain, offset: Offset) -> Iterator[_Happened]:
        ours, number = offset.ours, self._number
        for key, outcome, reason, intended, sent, done in gain.bad:
            tally = recorder.tally(*key)
            done_ns, sent_ns = ours(done), None if sent is None else ours(sent)
            yield done_ns, next(number), recorder.bad, (tally, outcome, reason, ours(intended), sent_ns, done_ns)
        for op_class, stretches in gain.successes.items():
            succeeded = recorder.track(op_class).succeeded
            for from_ns, to_ns in _pairs(stretches):
                yield ours(from_ns), next(number), succeeded, (ours(from_ns), ours(to_ns))
        acknowledged = recorder.track(OpClass.WRITE).acknowledged
        for intended, done in _pairs(gain.acks):
            yield ours(done), next(number), acknowledged, (ours(intended), ours(done))
        for row in gain.samples:
            yield ours(row[5]), next(number), self._sample, (recorder, row, offset)

    def _sample(self, recorder: Recorder, row: Row, offset: Offset) -> None:
        key, outcome, reason, intended, sent, done, worker, attempts, ledger_row, address = row
        if recorder.samples is None:
            return
        times = (offset.ours(intended), None if sent is None else offset.ours(sent), offset.ours(done))
        node = None if address is None else self._ledger.servings.node(address)
        recorder.samples.add(recorder.tally(*key), outcome, reason, times, worker, attempts, ledger_row, node)

    def _ledger_gain(self, told: _Told, gain: LedgerGain, offset: Offset, doubt_ns: int) -> None:
        share = told.share
        self._ledger.adopt(range(nth_row(share, told.made), nth_row(share, gain.made), share.count))
        told.made = gain.made
        for row, outcome, done in gain.settled:
            self._ledger.settle(row, outcome, offset.ours(done))
        ours, acknowledge = offset.ours, self._ledger.acknowledge
        for row, mark, lsn, sent, done in _fives(gain.acked):
            # Sent no later than this in truth: an order that the clocks cannot vouch for is no split brain.
            sent_ns, done_ns = ours(sent) - doubt_ns, ours(done)
            what = (row, gain.marks[mark], lsn, sent_ns, done_ns)
            self._happened.append((done_ns, next(self._number), acknowledge, what))


def _when(happened: _Happened) -> int:
    return happened[0]


def _pairs(flat: array[int]) -> Iterable[tuple[int, int]]:
    return zip(flat[::2], flat[1::2], strict=True)


def _fives(flat: array[int]) -> Iterable[tuple[int, int, int, int, int]]:
    return zip(flat[::5], flat[1::5], flat[2::5], flat[3::5], flat[4::5], strict=True)
