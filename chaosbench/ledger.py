"""The ledger: ids made by the client, what became of each, and what the nodes say afterwards. Pure.

lost        acknowledged, and not there
recovered   unknown to the client, and there
unexpected  there, and never attempted (or certain to have failed)

A row costs 18 bytes: how it ended, who acknowledged it, when, and at which
position of that server's WAL.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass

from chaosbench.outcome import Outcome
from chaosbench.serving import NOBODY, Server, Servings

_ATTEMPTED, _OK, _FAILED, _UNKNOWN, _ABSENT = range(5)
_CODES = {Outcome.OK: _OK, Outcome.FAILED: _FAILED, Outcome.UNKNOWN: _UNKNOWN}


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


class Ledger:
    """The ids of one run, numbered from 1.

    run:         the key that sets this run's rows apart from all others in the table
    started_ns:  when the measurement began; rows of the warm-up were acknowledged before
    """

    def __init__(self, run: int) -> None:
        self.run = run
        self.started_ns = 0
        self.servings = Servings()
        self._absent = 1  # entry 0 is no id
        self._orphaned: list[range] = []
        self._states = array("B", [_ABSENT])
        self._servers = array("B", [NOBODY])
        self._done_ns = array("q", [0])
        self._lsns = array("Q", [0])

    def __len__(self) -> int:
        """How many ids were attempted."""
        return len(self._states) - self._absent

    def attempt(self) -> int:
        """A new id, about to be sent."""
        self._states.append(_ATTEMPTED)
        self._servers.append(NOBODY)
        self._done_ns.append(0)
        self._lsns.append(0)
        return len(self._states) - 1

    def adopt(self, rows: range) -> None:
        """Ids that another process made and is sending. Those of all processes together leave few numbers out."""
        missing = rows[-1] + 1 - len(self._states) if rows else 0
        if missing > 0:
            self._states.frombytes(bytes([_ABSENT]) * missing)
            self._servers.frombytes(bytes([NOBODY]) * missing)
            self._done_ns.extend([0] * missing)
            self._lsns.extend([0] * missing)
            self._absent += missing
        for row in rows:
            self._states[row] = _ATTEMPTED
        self._absent -= len(rows)

    def orphan(self, rows: range) -> None:
        """Ids that a process which is gone may have sent without telling: one that is there was unknown, not wrong."""
        self._orphaned.append(rows)

    def acknowledge(self, row: int, mark: str, lsn: int, sent_ns: int, done_ns: int) -> str | None:
        """A server acknowledged it. Called in order of ``done_ns``; ``mark``: see :meth:`Server.parse`.

        Returns the node's name, or its address as long as that is not known.
        """
        number = self.servings.acknowledged(mark, sent_ns, done_ns)
        self._states[row] = _OK
        self._servers[row] = number
        self._done_ns[row] = done_ns
        self._lsns[row] = lsn
        return self.servings.names[number]

    def settle(self, row: int, outcome: Outcome, done_ns: int = 0) -> None:
        """It ended with this outcome, at that time."""
        self._states[row] = _CODES[outcome]
        self._done_ns[row] = done_ns

    def acknowledgement(self, row: int) -> Acknowledgement:
        """What is known of an acknowledged row."""
        return Acknowledgement(row, self._done_ns[row], self._lsns[row], self.servings.server(self._servers[row]))

    def unknown_ids(self) -> tuple[int, ...]:
        """Ids that ended unknown, or never ended, in order."""
        return tuple(row for row, state in enumerate(self._states) if row and state in (_ATTEMPTED, _UNKNOWN))

    def count(self, outcome: Outcome) -> int:
        """How many ids ended so. One that never ended counts as unknown."""
        counted = self._states.count(_CODES[outcome])
        if outcome is Outcome.UNKNOWN:
            counted += self._states.count(_ATTEMPTED)
        return counted

    def check(self, node: str, found: Iterable[int]) -> LedgerCheck:
        """Compare with the ids that a node has."""
        present = bytearray(len(self._states))
        recovered: list[int] = []
        unexpected: list[int] = []
        rows = 0
        for row in found:
            rows += 1
            state = self._states[row] if 0 < row < len(self._states) else _ABSENT
            if state == _ABSENT and any(row in rows for rows in self._orphaned):
                recovered.append(row)
                continue
            if state in (_FAILED, _ABSENT):
                unexpected.append(row)
                continue
            present[row] = 1
            if state != _OK:
                recovered.append(row)
        lost = tuple(row for row, state in enumerate(self._states) if state == _OK and not present[row])
        return LedgerCheck(node, rows, lost, tuple(sorted(recovered)), tuple(sorted(unexpected)))
