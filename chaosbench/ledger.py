"""The ledger: ids made by the client, what became of each, and what the nodes say afterwards. Pure.

lost        acknowledged, and not there
recovered   unknown to the client, and there
unexpected  there, and never attempted (or certain to have failed)

A row costs 19 bytes: how it ended, who acknowledged it, when, and at which
position of that server's WAL. Rows that were compared with every node cost next
to nothing: of them there are compact sets (``settled.py``).
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from pyroaring import BitMap64

from chaosbench.outcome import Outcome
from chaosbench.serving import NOBODY, Server, Servings
from chaosbench.settled import Found, Settled, compare, within

_ATTEMPTED, _OK, _FAILED, _UNKNOWN = range(4)
_CODES = {Outcome.OK: _OK, Outcome.FAILED: _FAILED, Outcome.UNKNOWN: _UNKNOWN}
_RUNS = {code: re.compile(b"[" + bytes([code]) + b"]+") for code in (_ATTEMPTED, _OK, _FAILED, _UNKNOWN)}

DETAILS = 1000
"""Lost rows of which is remembered when and where they were acknowledged."""


@dataclass(frozen=True, slots=True)
class LedgerCheck:
    """What a comparison with one node found; ids in order."""

    node: str
    rows: int
    lost: tuple[int, ...]
    recovered: tuple[int, ...]
    unexpected: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """What is known of one acknowledged row.

    done_ns:  when the client heard of it
    lsn:      the server's WAL insert position once the row was written, before its commit; 0 when it is not
              known (a retry proved that an earlier attempt took effect)
    """

    row: int
    done_ns: int
    lsn: int
    server: Server | None


@dataclass(frozen=True, slots=True)
class Ends:
    """What ended since somebody last asked; ids up to ``upto`` had been attempted."""

    upto: int
    acked: BitMap64
    failed: BitMap64
    unknown: BitMap64


class Ledger:
    """The ids of one run, numbered from 1.

    run:         the key that sets this run's rows apart from all others in the table
    started_ns:  when the measurement began; rows of the warm-up were acknowledged before
    settled:     the ids that are not held one by one any more
    found_unlogged:  ids that chaosbench had sent just before it was killed, found on a node
    """

    def __init__(self, run: int, settled: Settled | None = None) -> None:
        self.run = run
        self.started_ns = 0
        self.servings = Servings()
        self.settled = settled or Settled()
        self._base = self.settled.upto
        self._states = array("B", [_ATTEMPTED])
        self._servers = array("H", [NOBODY])
        self._done_ns = array("q", [0])
        self._lsns = array("Q", [0])
        self.found_unlogged = self.settled.recovered & self.settled.unlogged
        self._told = self._base
        self._open = BitMap64()
        self._details: dict[int, Acknowledgement] = {}

    def __len__(self) -> int:
        """How many ids were attempted."""
        return self.settled.attempted + len(self._states) - 1

    @property
    def newest(self) -> int:
        """The newest id."""
        return self._base + len(self._states) - 1

    @property
    def held(self) -> int:
        """Rows that are held one by one."""
        return len(self._states) - 1

    def attempt(self) -> int:
        """A new id, about to be sent."""
        self._states.append(_ATTEMPTED)
        self._servers.append(NOBODY)
        self._done_ns.append(0)
        self._lsns.append(0)
        return self._base + len(self._states) - 1

    def acknowledge(self, row: int, mark: str, lsn: int, sent_ns: int, done_ns: int) -> str | None:
        """A server acknowledged it. Called in order of ``done_ns``; ``mark``: see :meth:`Server.parse`.

        Returns the node's name, or its address as long as that is not known.
        """
        number = self.servings.acknowledged(mark, sent_ns, done_ns)
        place = row - self._base
        self._states[place] = _OK
        self._servers[place] = number
        self._done_ns[place] = done_ns
        self._lsns[place] = lsn
        return self.servings.names[number]

    def settle(self, row: int, outcome: Outcome, done_ns: int = 0) -> None:
        """It ended with this outcome, at that time."""
        self._states[row - self._base] = _CODES[outcome]
        self._done_ns[row - self._base] = done_ns

    def acknowledgement(self, row: int) -> Acknowledgement | None:
        """What is known of an acknowledged row; None of one that is not held any more, and was not among the lost."""
        place = row - self._base
        if place <= 0:
            return self._details.get(row)
        return Acknowledgement(row, self._done_ns[place], self._lsns[place], self.servings.server(self._servers[place]))

    def unknown_ids(self, most: int | None = None) -> tuple[int, ...]:
        """Ids that ended unknown, or never ended, in order; not those that may never have been sent."""
        unknown = (self.settled.unknown - self.settled.unlogged) | self._ids(_UNKNOWN) | self._ids(_ATTEMPTED)
        return tuple(islice(unknown, most))

    def count(self, outcome: Outcome) -> int:
        """How many ids ended so. One that never ended counts as unknown."""
        counted = self._states.count(_CODES[outcome])
        match outcome:
            case Outcome.OK:
                return counted + len(self.settled.acked)
            case Outcome.UNKNOWN:
                never_ended = self._states.count(_ATTEMPTED) - 1  # entry 0 is no id
                return counted + never_ended + self.settled.not_known
            case _:
                return counted + self.settled.failed

    def check(self, node: str, found: Iterable[int]) -> LedgerCheck:
        """Compare with the ids that a node has. Those compared before are only looked at for what has turned up."""
        rows = tuple(found)
        odd = [row for row in rows if row <= 0]
        present = BitMap64([row for row in rows if row > 0])
        self.found_unlogged |= present & self.settled.unlogged
        settled, last = self.settled, max(self.newest, present.max() if present else 0)
        acked = within(settled.acked, settled.compared, last) | self._ids(_OK)
        unknown = within(settled.unknown, settled.compared, last) | self._ids(_UNKNOWN) | self._ids(_ATTEMPTED)
        fresh, late = within(present, settled.compared, last), within(present, 0, settled.compared)
        return LedgerCheck(
            node,
            len(rows),
            tuple(acked - fresh),
            tuple((fresh & unknown) | (late & settled.unknown)),
            tuple(sorted([*odd, *(fresh - acked - unknown), *(late - settled.acked - settled.unknown)])),
        )

    def compared(self, after: int, upto: int, nodes: Iterable[BitMap64]) -> Found:
        """Hold the ids in ``(after, upto]``, which all have ended, against what each node has of them."""
        acked = within(self.settled.acked, after, upto) | self._ids(_OK, after, upto)
        unknown = within(self.settled.unknown, after, upto) | self._ids(_UNKNOWN, after, upto)
        return compare(after, upto, acked, unknown, nodes)

    def ended(self) -> Ends:
        """What ended since the last call. Costs in proportion to that, not to the ledger."""
        oldest = self._open.min() - 1 if self._open else self.newest
        known = {code: self._open & self._ids(code, oldest) for code in (_OK, _FAILED, _UNKNOWN)}
        for ids in known.values():
            self._open -= ids
        for code, ids in known.items():
            ids |= self._ids(code, self._told)
        self._open |= self._ids(_ATTEMPTED, self._told)
        self._told = self.newest
        return Ends(self._told, known[_OK], known[_FAILED], known[_UNKNOWN])

    def everything(self) -> Ends:
        """All that has ended of the rows that are held one by one; :meth:`ended` then goes on from here."""
        self._told, self._open = self.newest, self._ids(_ATTEMPTED)
        return Ends(self._told, self._ids(_OK), self._ids(_FAILED), self._ids(_UNKNOWN))

    def all_ended(self, upto: int) -> int:
        """The newest id, at most ``upto``, of which itself and all before it have ended."""
        first = self._states.tobytes().find(bytes([_ATTEMPTED]), 1)
        return min(upto, self.newest if first < 0 else self._base + first - 1)

    def fold(self, upto: int) -> None:
        """Hold rows up to this one, which all have ended, as sets only; when and where is known no more."""
        count = upto - self._base
        if count <= 0:
            return
        self.settled.acked |= self._ids(_OK, last=upto)
        self.settled.unknown |= self._ids(_UNKNOWN, last=upto)
        for column in (self._states, self._servers, self._done_ns, self._lsns):
            del column[1 : count + 1]
        self._base = self.settled.upto = upto
        self.settled.attempted += count

    def remember(self, lost: Iterable[int]) -> None:
        """Keep when and where these rows were acknowledged, before they are folded."""
        for row in islice(lost, max(0, DETAILS - len(self._details))):
            detail = self.acknowledgement(row)
            if detail is not None:
                self._details[row] = detail

    def _ids(self, code: int, after: int = 0, last: int | None = None) -> BitMap64:
        """The ids held one by one, after that one, that are in this state."""
        first = max(after - self._base, 0) + 1
        content = self._states[first : None if last is None else max(0, last - self._base) + 1].tobytes()
        found = BitMap64()
        for run in _RUNS[code].finditer(content):
            found.add_range(self._base + first + run.start(), self._base + first + run.end())
        return found
