"""What the ledger workload sends: an insert whose answer tells who gave it, and where in that server's WAL."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from chaosbench.engine import Attempt, Operation, Session
from chaosbench.ledger import Ledger
from chaosbench.outcome import OpClass, Outcome

INSERT = Operation("insert", OpClass.WRITE)

# The first column is the server's mark: its own address, and the timeline as the name of a WAL file begins. Pgpool
# passes the answer on unchanged, so this is the node itself speaking. It adds nothing that could be measured to the
# insert's time, and no round trip.
_SQL = """INSERT INTO chaosbench_ledger (run, id) VALUES ($1, $2)
RETURNING coalesce(host(inet_server_addr()), 'local') || '/' ||
          left(pg_walfile_name(pg_current_wal_insert_lsn()), 8), pg_current_wal_insert_lsn()"""


class RunningLedger:
    """Inserts ids that the client made, and remembers what became of each."""

    def __init__(self, ledger: Ledger, retries: int, now: Callable[[], int]) -> None:
        self.operations: tuple[Operation, ...] = (INSERT,)
        self.retries = retries
        self._ledger = ledger
        self._now = now

    def pick(self, rng: random.Random) -> int:
        """There is one operation."""
        return 0

    async def open(self, connection: Any, rng: random.Random) -> Session:
        """Prepare the insert."""
        return _Inserts((await connection.prepare(_SQL)).fetchrow, self._ledger, self._now)

    def settle(self, row: int, outcome: Outcome) -> None:
        """Remember how an insert ended that was not acknowledged at its first attempt."""
        self._ledger.settle(row, outcome, self._now())


class _Inserts:
    """The ledger on one connection."""

    __slots__ = ("_insert", "_ledger", "_now")

    def __init__(self, insert: Any, ledger: Ledger, now: Callable[[], int]) -> None:
        self._insert = insert
        self._ledger = ledger
        self._now = now

    async def run(self, operation: int, attempt: Attempt) -> None:
        """Insert the next id, or once more the one of the attempt before."""
        ledger = self._ledger
        if not attempt.row:
            attempt.row = ledger.attempt()
        attempt.effect_sent = True
        sent_ns = self._now()
        mark, lsn = await self._insert(ledger.run, attempt.row)
        attempt.node = ledger.acknowledge(attempt.row, mark, lsn, sent_ns, self._now())
