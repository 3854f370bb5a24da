"""What is left of ledger rows that are not held one by one any more: sets of ids, compact. Pure.

Ids up to ``upto`` are here; those up to ``compared`` have been compared with every node, their rows
stand in the database as checkpoints only. A set of a week's ids takes megabytes: ids that follow each other
cost next to nothing (Roaring bitmaps).
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from hashlib import sha256
from typing import Any

from pyroaring import BitMap64

Run = tuple[int, int]
"""Ids that follow each other: the first and the last."""


def ids_of(runs: Iterable[Run]) -> BitMap64:
    """The ids of several runs."""
    found = BitMap64()
    for first, last in runs:
        found.add_range(first, last + 1)
    return found


def within(ids: BitMap64, after: int, upto: int) -> BitMap64:
    """Those of the ids that are in ``(after, upto]``."""
    return ids & ids_of([(after + 1, upto)]) if upto > after else BitMap64()


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Stands in the database for the rows in ``(after, upto]`` that were on every node: ``rows`` of them."""

    number: int
    after: int
    upto: int
    rows: int
    checksum: str
    ids: bytes = b""

    @classmethod
    def of(cls, number: int, after: int, upto: int, ids: BitMap64) -> Checkpoint:
        """That of a set of ids."""
        ids.run_optimize()
        content = ids.serialize()
        return cls(number, after, upto, len(ids), sha256(content).hexdigest(), content)


@dataclass(frozen=True, slots=True)
class Found:
    """What a comparison of the rows in ``(after, upto]`` with every node came to; ``lost`` lacks on one or more."""

    after: int
    upto: int
    lost: BitMap64
    recovered: BitMap64
    unexpected: BitMap64
    everywhere: BitMap64


def compare(after: int, upto: int, acked: BitMap64, unknown: BitMap64, nodes: Iterable[BitMap64]) -> Found:
    """Ids in ``(after, upto]`` that were acknowledged, or are unknown, against what each node has in there."""
    lost, recovered, unexpected = BitMap64(), BitMap64(), BitMap64()
    everywhere: BitMap64 | None = None
    for present in nodes:
        lost |= acked - present
        recovered |= present & unknown
        unexpected |= present - acked - unknown
        everywhere = present.copy() if everywhere is None else everywhere & present
    return Found(after, upto, lost, recovered, unexpected, everywhere or BitMap64())


@dataclass(slots=True)
class Settled:
    """Everything known of ids up to ``upto``. What is in neither ``acked`` nor ``unknown`` failed for certain.

    unlogged:     ids that chaosbench may have used just before it was killed; nobody knows. Part of ``unknown``
    attempted:    how many ids were, ``unlogged`` not counted
    checkpoints:  those in the database, by number from 1: how many rows each stands for, and its checksum
    gone:         checkpoints that a node did not have any more: number and rows
    """

    upto: int = 0
    compared: int = 0
    attempted: int = 0
    acked: BitMap64 = field(default_factory=BitMap64)
    unknown: BitMap64 = field(default_factory=BitMap64)
    unlogged: BitMap64 = field(default_factory=BitMap64)
    lost: BitMap64 = field(default_factory=BitMap64)
    recovered: BitMap64 = field(default_factory=BitMap64)
    unexpected: BitMap64 = field(default_factory=BitMap64)
    checkpoints: dict[int, tuple[int, str]] = field(default_factory=dict)
    gone: dict[int, int] = field(default_factory=dict)

    def settle(self, found: Iterable[Found]) -> None:
        """Keep the results of comparisons for good."""
        for each in found:
            self.lost |= each.lost
            self.recovered |= each.recovered
            self.unexpected |= each.unexpected
            self.compared = max(self.compared, each.upto)
        for ids in (self.acked, self.unknown, self.lost, self.recovered, self.unexpected):
            ids.run_optimize()

    def turned_up(self, present: BitMap64) -> bool:
        """Rows of ids that were compared before: one that nobody knew of then is recovered, or unexpected, now.

        True if there was one.
        """
        late, known = within(present, 0, self.compared), len(self.recovered) + len(self.unexpected)
        self.recovered |= late & self.unknown
        self.unexpected |= late - self.acked - self.unknown
        return len(self.recovered) + len(self.unexpected) > known

    def keep(self, checkpoint: Checkpoint) -> None:
        """It is on every node."""
        self.checkpoints[checkpoint.number] = checkpoint.rows, checkpoint.checksum

    def missing(self, there: Iterable[Checkpoint]) -> tuple[int, ...]:
        """Numbers of checkpoints that a node does not have, or has otherwise; from then on they are ``gone``."""
        found = {each.number: (each.rows, each.checksum) for each in there}
        missing = tuple(number for number, kept in self.checkpoints.items() if found.get(number) != kept)
        self.gone |= {number: self.checkpoints[number][0] for number in missing}
        return missing

    @property
    def failed(self) -> int:
        """How many failed for certain."""
        return self.attempted - len(self.acked) - self.not_known

    @property
    def not_known(self) -> int:
        """How many ended unknown, those that may never have been sent left out."""
        return len(self.unknown) - len(self.unlogged)

    def stored(self) -> dict[str, Any]:
        """As JSON values."""
        return {each.name: _stored(getattr(self, each.name)) for each in fields(self)}

    @classmethod
    def restored(cls, stored: dict[str, Any]) -> Settled:
        """From what :meth:`stored` gave."""
        values: dict[str, Any] = {
            each.name: BitMap64.deserialize(b64decode(value)) if isinstance(value, str) else value
            for each in fields(cls)
            for value in [stored[each.name]]
        }
        values["gone"] = {int(number): rows for number, rows in stored["gone"].items()}
        values["checkpoints"] = {int(number): (kept[0], kept[1]) for number, kept in stored["checkpoints"].items()}
        return cls(**values)


def _stored(value: object) -> object:
    if not isinstance(value, BitMap64):
        return value
    value.run_optimize()
    return b64encode(value.serialize()).decode("ascii")
