"""A worker's recorder, ledger and registers: they keep what is to be sent, and nothing that was."""

from __future__ import annotations

from array import array

from chaosbench.clock import Clock
from chaosbench.distributed.wire import (
    Bad,
    Gain,
    Key,
    LagGain,
    LedgerGain,
    RegisterGain,
    Row,
    TallyGain,
)
from chaosbench.events import Event
from chaosbench.histogram import NO_CELLS
from chaosbench.ledger import Ledger
from chaosbench.model.scenario import Windows
from chaosbench.outcome import OpClass, Outcome
from chaosbench.recorder.recorder import Lag, Recorder
from chaosbench.recorder.samples import Samples
from chaosbench.recorder.tally import GAP_NS, ClassTrack, Tally
from chaosbench.share import Share
from chaosbench.staleness import Registers
from chaosbench.windows import WindowFolder

KEPT_ROWS = 2_000_000
"""Raw samples that wait for a question at most: more than come in the time after which a worker ends unasked."""


class GatheringTrack(ClassTrack):
    """Keeps when there were successes: stretches in which they follow one another closely, and each one if asked to.

    ``bad`` has what did not end ok. Like successes it belongs to the recorder in which the operation began.

    What lies between the stretches of all workers together is, exactly, what
    one process would have seen as stretches without success.
    """

    __slots__ = ("_from_ns", "_to_ns", "acks", "bad", "every", "stretches")

    def __init__(self, op_class: OpClass, now_ns: int, *, every: bool) -> None:
        super().__init__(WindowFolder(op_class, 0), now_ns)
        self.every = every
        self.acks = array("q")
        self.bad: list[Bad] = []
        self.stretches = array("q")
        self._from_ns: int | None = None
        self._to_ns = now_ns

    def fold(self) -> None:
        """Fold in what was noted, in the order in which it was done."""
        from_ns, to_ns, every, acks = self._from_ns, self._to_ns, self.every, self.acks
        for tally, intended_ns, sent_ns, done_ns in self.noted:
            if from_ns is None:
                from_ns = done_ns
            elif done_ns - to_ns > GAP_NS:
                self.stretches.extend((from_ns, to_ns))
                from_ns = done_ns
            to_ns = done_ns
            if every:
                acks.append(intended_ns)
                acks.append(done_ns)
            tally.count_ok(intended_ns, sent_ns, done_ns)
        self._from_ns, self._to_ns = from_ns, to_ns
        self.noted.clear()

    def take(self) -> tuple[array[int], array[int]]:
        """The stretches and the single successes since this was last asked."""
        self.fold()
        if self._from_ns is not None:
            self.stretches.extend((self._from_ns, self._to_ns))
            self._from_ns = None
        taken = self.stretches, self.acks
        self.stretches, self.acks = array("q"), array("q")
        return taken


class GatheringRecorder(Recorder):
    """Counts as any recorder does; windows and outages are the coordinator's, which hears of all workers."""

    def __init__(self, clock: Clock, epoch: int, *, outages: bool, samples: bool) -> None:
        super().__init__(clock, Windows(), _nobody, Samples(KEPT_ROWS) if samples else None)
        self.epoch = epoch
        self._gathering = {
            op_class: GatheringTrack(op_class, self.started_ns, every=outages and op_class is OpClass.WRITE)
            for op_class in OpClass
        }
        self._tracks = dict(self._gathering)
        self._attempted: dict[Key, int] = {}

    def bad(
        self, tally: Tally, outcome: Outcome, reason: str, intended_ns: int, sent_ns: int | None, done_ns: int
    ) -> None:
        """Keep an operation that did not end ok, with the recorder in which it began: that may be an earlier one."""
        track = tally.track
        assert isinstance(track, GatheringTrack)
        track.bad.append((_key(tally), outcome, reason, intended_ns, sent_ns, done_ns))

    def advance(self, now_ns: int | None = None) -> None:
        """Windows are not looked for here."""

    def take(self, registers: RegisterGain) -> Gain:
        """What has come since this was last asked."""
        tracks = {op_class: track.take() for op_class, track in self._gathering.items()}
        bad = [one for track in self._gathering.values() for one in track.bad]
        for track in self._gathering.values():
            track.bad.clear()
        lag, self.lag = self.lag, Lag()
        return Gain(
            epoch=self.epoch,
            tallies=tuple(gain for tally in self.tallies if (gain := self._gain(tally)) is not None),
            successes={op_class: stretches for op_class, (stretches, _) in tracks.items() if stretches},
            acks=tracks[OpClass.WRITE][1],
            bad=bad,
            samples=self._rows(),
            lag=LagGain(cells=lag.histogram.cells(), suspect_ns=lag.suspect_ns, suspects=lag.suspects),
            registers=registers,
        )

    def _gain(self, tally: Tally) -> TallyGain | None:
        key = _key(tally)
        attempted = tally.attempted - self._attempted.get(key, 0)
        self._attempted[key] = tally.attempted
        ok, response, service = tally.take_ok()
        if not attempted and not ok:
            return None
        return TallyGain(key=key, attempted=attempted, ok=ok, response=response, service=service)

    def _rows(self) -> list[Row]:
        if self.samples is None:
            return []
        return [(_key(tally), *rest) for tally, *rest in self.samples.take()]  # type: ignore[misc]


def _key(tally: Tally) -> Key:
    return tally.workload, tally.operation, tally.op_class


def _nobody(event: Event) -> None:
    """Nobody is told: the coordinator tells."""


class GatheringLedger(Ledger):
    """Makes the ids of its share, and keeps what became of them until it is sent.

    Ids are dealt out in turn, so that no two workers make the same one.
    """

    def __init__(self, run: int, share: Share) -> None:
        super().__init__(run)
        self._share = share
        self._made = 0
        self._marks: dict[str, int] = {}
        self._acked = array("Q")
        self._settled: list[tuple[int, Outcome, int]] = []

    def attempt(self) -> int:
        self._made += 1
        return nth_row(self._share, self._made - 1)

    def acknowledge(self, row: int, mark: str, lsn: int, sent_ns: int, done_ns: int) -> str | None:
        """A server acknowledged it; returns its address, for only the coordinator knows names."""
        number = self._marks.setdefault(mark, len(self._marks))
        self._acked.extend((row, number, lsn, sent_ns, done_ns))
        return mark.rpartition("/")[0]

    def settle(self, row: int, outcome: Outcome, done_ns: int = 0) -> None:
        self._settled.append((row, outcome, done_ns))

    def take(self) -> LedgerGain:
        """What has come since this was last asked."""
        gain = LedgerGain(made=self._made, marks=tuple(self._marks), acked=self._acked, settled=tuple(self._settled))
        self._acked, self._settled = array("Q"), []
        return gain


def nth_row(share: Share, number: int) -> int:
    """The id that a share's ledger makes as its n-th, from 0."""
    return 1 + share.index + number * share.count


def take_registers(registers: Registers) -> RegisterGain:
    """What the reads have found since this was last asked."""
    gain = RegisterGain(reads=dict(registers.reads), stale=dict(registers.stale), ages=registers.ages.cells())
    registers.begin()
    return gain


NO_READS = RegisterGain(reads={}, stale={}, ages=NO_CELLS)
