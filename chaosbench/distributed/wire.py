"""What workers and coordinator say to each other. Stamps are those of the worker's clock, in nanoseconds."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field

from chaosbench.engine.session import Connect
from chaosbench.histogram import Cells
from chaosbench.model.scenario import StreamSettings
from chaosbench.outcome import OpClass, Outcome
from chaosbench.share import Share
from chaosbench.workload import WorkloadSettings

Key = tuple[str, str, OpClass]
"""Workload, operation and class: which tally."""

Bad = tuple[Key, Outcome, str, int, int | None, int]
"""An operation that did not end ok: tally, outcome, reason, intended, sent (None: never), done."""

Row = tuple[Key, Outcome, str, int, int | None, int, int | None, int, int, str | None]
"""One raw sample, as in :mod:`chaosbench.recorder.samples`, with the tally's key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamPlan:
    """One stream of load, whole."""

    name: str
    settings: StreamSettings
    workload: WorkloadSettings
    connect: Connect


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a worker needs to know of the run.

    version:     of chaosbench; a worker of another one refuses
    ledger_run:  the key of this run's rows
    outages:     tell of every acknowledged write: there will be faults, and their outages want to know
    samples:     keep a row of every operation
    """

    version: str
    share: Share
    streams: tuple[StreamPlan, ...]
    ledger_run: int
    seed: str
    scale: int
    outages: bool
    samples: bool


@dataclass(frozen=True, slots=True)
class Begin:
    """Let the load begin at that time."""

    at_ns: int


@dataclass(frozen=True, slots=True)
class Turn:
    """The warm-up is over at that time: count anew from there."""

    at_ns: int


@dataclass(frozen=True, slots=True)
class Stop:
    """No more arrivals; end what is under way."""


Order = Begin | Turn | Stop


FIRST = 1
"""The first question's number."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked. ``number`` goes up by one when the answer before it has arrived; a repeated one gets the same."""

    number: int
    orders: tuple[Order, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TallyGain:
    """What one tally has gained: operations attempted and acknowledged, and how long the latter took."""

    key: Key
    attempted: int
    ok: int
    response: Cells
    service: Cells


@dataclass(frozen=True, slots=True, kw_only=True)
class LagGain:
    """What the generator's own lateness has gained; ``worst_ns``: to be told to whoever watches, 0 for nothing."""

    cells: Cells
    suspect_ns: int
    suspects: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterGain:
    """Reads and stale reads by the address that served them, and the ages of the stale ones."""

    reads: dict[str, int]
    stale: dict[str, int]
    ages: Cells


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """What one recorder has gained since it was last asked.

    epoch:      0 for the warm-up, 1 for the measurement
    successes:  by class, stretches (from, to) of successes that follow one another closely, flattened
    acks:       acknowledged writes as (intended, done), flattened; only where outages are watched
    """

    epoch: int
    tallies: tuple[TallyGain, ...]
    successes: dict[OpClass, array[int]]
    acks: array[int]
    bad: list[Bad]
    samples: list[Row]
    lag: LagGain
    registers: RegisterGain


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerGain:
    """What the ledger has gained.

    made:     ids made so far, all in all
    marks:    the servers' marks that ``acked`` counts by
    acked:    row, mark's index, LSN, sent, done; flattened (an LSN above 2^63 is as good as none)
    settled:  row, outcome, done of what ended otherwise
    """

    made: int = 0
    marks: tuple[str, ...] = ()
    acked: array[int] = field(default_factory=lambda: array("Q"))
    settled: tuple[tuple[int, Outcome, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A worker's answer.

    now_ns:     the worker's clock when it answered, and until when everything that ended is told
    ended:      nothing more will come
    failure:    why the worker broke off by itself; None as long as it has not
    worst_late_ns:  the worst lateness of the loop since the last answer if it makes latencies suspect, else 0
    """

    number: int
    now_ns: int
    gains: tuple[Gain, ...]
    ledger: LedgerGain
    connected: int
    backlog: int
    cpu_s: float
    worst_late_ns: int = 0
    ended: bool = False
    failure: str | None = None
