"""The ledger's rows in the database, as settling needs them: read as runs of ids, kept as checkpoints, deleted.

Whatever is read comes as few rows: runs of ids that follow each other are made by the server, for reading a
hundred thousand rows would hold the loop that carries the load.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from chaosbench import postgres
from chaosbench.clock import Clock
from chaosbench.model.cluster import Login, Member, Snapshot
from chaosbench.replication import caught_up
from chaosbench.settled import Checkpoint, Run

_TIMEOUT_S = 10.0
_RUNS = """
SELECT min(id) AS first, max(id) AS last
FROM (SELECT id, id - row_number() OVER (ORDER BY id) AS island
      FROM chaosbench_ledger WHERE run = $1 AND id > $2 AND id <= $3) AS numbered
GROUP BY island ORDER BY 1
"""
_DROP = """
WITH chosen AS (SELECT id FROM chaosbench_ledger WHERE run = $1 AND id <= $2 ORDER BY id LIMIT $3),
     gone AS (DELETE FROM chaosbench_ledger AS old USING chosen
              WHERE old.run = $1 AND old.id = chosen.id RETURNING old.id)
SELECT min(id) AS first, max(id) AS last
FROM (SELECT id, id - row_number() OVER (ORDER BY id) AS island FROM gone) AS numbered GROUP BY island ORDER BY 1
"""
# Oldest first without an index: they are where the table begins.
_TIDY = """
WITH gone AS (DELETE FROM chaosbench_canary WHERE ctid IN (
    SELECT ctid FROM chaosbench_canary WHERE at < now() - interval '10 minutes' LIMIT $1
) RETURNING 1)
SELECT count(*) AS gone FROM gone
"""
_KEEP = """
INSERT INTO chaosbench_checkpoint (run, number, after, upto, rows, checksum, ids) VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (run, number) DO UPDATE
SET after = excluded.after, upto = excluded.upto, rows = excluded.rows, checksum = excluded.checksum,
    ids = excluded.ids, at = clock_timestamp()
"""


class LedgerRows(Protocol):
    """What settling asks of the database; the tests have one in memory. Every method may raise QueryError."""

    async def replayed(self, snapshot: Snapshot, timeout: float) -> frozenset[str]:
        """The nodes that have all that the leader had at the call."""
        ...

    async def runs(self, node: Member, run: int, after: int, upto: int) -> tuple[Run, ...]:
        """The ids in ``(after, upto]`` that a node has."""
        ...

    async def newest(self, node: Member, run: int) -> int:
        """The greatest id that a node has; 0 without any."""
        ...

    async def keep(self, leader: Member, run: int, checkpoint: Checkpoint) -> None:
        """Write a checkpoint."""
        ...

    async def checkpoints(self, node: Member, run: int) -> tuple[Checkpoint, ...]:
        """The checkpoints that a node has, by number, without their ids."""
        ...

    async def drop(self, leader: Member, run: int, upto: int, most: int) -> tuple[Run, ...]:
        """Delete at most so many of the first rows up to that id; returns those that were there."""
        ...

    async def tidy(self, leader: Member, most: int) -> int:
        """Delete at most so many of the canary's old rows, which nobody looks at again; returns how many."""
        ...


@dataclass(frozen=True, slots=True)
class LiveLedgerRows:
    """The real one: each node is asked itself."""

    login: Login
    clock: Clock

    async def replayed(self, snapshot: Snapshot, timeout: float) -> frozenset[str]:
        """The nodes that have all that the leader had at the call."""
        return frozenset(node.name for node in await caught_up(snapshot, self.login, self.clock, timeout))

    async def runs(self, node: Member, run: int, after: int, upto: int) -> tuple[Run, ...]:
        """The ids in ``(after, upto]`` that a node has."""
        rows = await postgres.fetch(node.ports["sql"], self.login, _RUNS, run, after, upto, timeout=_TIMEOUT_S)
        return tuple((row["first"], row["last"]) for row in rows)

    async def newest(self, node: Member, run: int) -> int:
        """The greatest id that a node has; 0 without any."""
        sql = "SELECT coalesce(max(id), 0) AS newest FROM chaosbench_ledger WHERE run = $1"
        rows = await postgres.fetch(node.ports["sql"], self.login, sql, run, timeout=_TIMEOUT_S)
        return int(rows[0]["newest"])

    async def keep(self, leader: Member, run: int, checkpoint: Checkpoint) -> None:
        """Write a checkpoint."""
        values = (run, checkpoint.number, checkpoint.after, checkpoint.upto, checkpoint.rows, checkpoint.checksum)
        async with postgres.connected(leader.ports["sql"], self.login, _TIMEOUT_S) as connection:
            await connection.execute(_KEEP, (*values, checkpoint.ids))

    async def checkpoints(self, node: Member, run: int) -> tuple[Checkpoint, ...]:
        """The checkpoints that a node has, by number, without their ids."""
        sql = "SELECT number, after, upto, rows, checksum FROM chaosbench_checkpoint WHERE run = $1 ORDER BY number"
        rows = await postgres.fetch(node.ports["sql"], self.login, sql, run, timeout=_TIMEOUT_S)
        return tuple(Checkpoint(**row) for row in rows)

    async def drop(self, leader: Member, run: int, upto: int, most: int) -> tuple[Run, ...]:
        """Delete at most so many of the first rows up to that id; returns those that were there."""
        rows = await postgres.fetch(leader.ports["sql"], self.login, _DROP, run, upto, most, timeout=_TIMEOUT_S)
        return tuple((row["first"], row["last"]) for row in rows)

    async def tidy(self, leader: Member, most: int) -> int:
        """Delete at most so many of the canary's old rows, which nobody looks at again; returns how many."""
        rows = await postgres.fetch(leader.ports["sql"], self.login, _TIDY, most, timeout=_TIMEOUT_S)
        return int(rows[0]["gone"])
