"""The ledger: ids made by the client, what became of each, and what the nodes say afterwards. Pure.

lost        acknowledged, and not there
recovered   unknown to the client, and there
unexpected  there, and never attempted (or certain to have failed)
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass

from chaosbench.outcome import Outcome

_ATTEMPTED, _OK, _FAILED, _UNKNOWN = range(4)
_CODES = {Outcome.OK: _OK, Outcome.FAILED: _FAILED, Outcome.UNKNOWN: _UNKNOWN}


@dataclass(frozen=True, slots=True)
class LedgerCheck:
    """What a comparison with one node found; ids in order."""

    node: str
    rows: int
    lost: tuple[int, ...]
    recovered: tuple[int, ...]
    unexpected: tuple[int, ...]


class Ledger:
    """The ids of one run, numbered from 1: one byte each.

    run:  the key that sets this run's rows apart from all others in the table
    """

    def __init__(self, run: int) -> None:
        self.run = run
        self._states = array("B", [_ATTEMPTED])

    def __len__(self) -> int:
        """How many ids were attempted."""
        return len(self._states) - 1

    def attempt(self) -> int:
        """A new id, about to be sent."""
        self._states.append(_ATTEMPTED)
        return len(self._states) - 1

    def acknowledge(self, row: int) -> None:
        """The server acknowledged it."""
        self._states[row] = _OK

    def settle(self, row: int, outcome: Outcome) -> None:
        """It ended with this outcome."""
        self._states[row] = _CODES[outcome]

    def count(self, outcome: Outcome) -> int:
        """How many ids ended so. One that never ended counts as unknown."""
        counted = self._states.count(_CODES[outcome])
        if outcome is Outcome.UNKNOWN:
            counted += self._states.count(_ATTEMPTED) - 1  # entry 0 is no id
        return counted

    def check(self, node: str, found: Iterable[int]) -> LedgerCheck:
        """Compare with the ids that a node has."""
        present = bytearray(len(self._states))
        recovered: list[int] = []
        unexpected: list[int] = []
        rows = 0
        for row in found:
            rows += 1
            state = self._states[row] if 0 < row < len(self._states) else _FAILED
            if state == _FAILED:
                unexpected.append(row)
                continue
            present[row] = 1
            if state != _OK:
                recovered.append(row)
        lost = tuple(row for row, state in enumerate(self._states) if state == _OK and not present[row])
        return LedgerCheck(node, rows, lost, tuple(sorted(recovered)), tuple(sorted(unexpected)))
