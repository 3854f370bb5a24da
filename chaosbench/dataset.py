"""The tables that workloads need: made where they are missing, left alone where they are right.

The pgbench tables are pgbench's own (``pgbench --initialize``), so either tool
can use what the other made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from chaosbench import postgres
from chaosbench.clock import Clock
from chaosbench.errors import ClusterUnavailable
from chaosbench.model.cluster import Login, Snapshot
from chaosbench.pgbench import ACCOUNTS, TELLERS
from chaosbench.postgres import Connection
from chaosbench.replication import caught_up

Progress = Callable[[int, int], None]
"""Called with rows made and rows to make."""

_BLOCK = 10_000
_PATIENCE = 3600.0
_REPLICAS = 120.0

_PGBENCH = """
DROP TABLE IF EXISTS pgbench_accounts, pgbench_branches, pgbench_tellers, pgbench_history;
CREATE TABLE pgbench_history (tid int, bid int, aid int, delta int, mtime timestamp, filler char(22));
CREATE TABLE pgbench_tellers (tid int NOT NULL, bid int, tbalance int, filler char(84)) WITH (fillfactor = 100);
CREATE TABLE pgbench_accounts (aid int NOT NULL, bid int, abalance int, filler char(84)) WITH (fillfactor = 100);
CREATE TABLE pgbench_branches (bid int NOT NULL, bbalance int, filler char(88)) WITH (fillfactor = 100);
"""
_PGBENCH_KEYS = """
ALTER TABLE pgbench_branches ADD PRIMARY KEY (bid);
ALTER TABLE pgbench_tellers ADD PRIMARY KEY (tid);
ALTER TABLE pgbench_accounts ADD PRIMARY KEY (aid);
"""
_LEDGER = """
CREATE TABLE IF NOT EXISTS chaosbench_ledger (
    run bigint NOT NULL, id bigint NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp(), PRIMARY KEY (run, id)
);
CREATE TABLE IF NOT EXISTS chaosbench_checkpoint (
    run bigint NOT NULL, number int NOT NULL, after bigint NOT NULL, upto bigint NOT NULL, rows bigint NOT NULL,
    checksum text NOT NULL, ids bytea NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (run, number)
);
DELETE FROM chaosbench_checkpoint WHERE run NOT IN (
    SELECT run FROM chaosbench_checkpoint WHERE at > now() - interval '30 days'
);
DELETE FROM chaosbench_ledger
WHERE at < now() - interval '7 days' AND run NOT IN (SELECT run FROM chaosbench_checkpoint);
"""
_REGISTER = """
CREATE TABLE IF NOT EXISTS chaosbench_register (
    run bigint NOT NULL, id int NOT NULL, value bigint NOT NULL, PRIMARY KEY (run, id)
) WITH (fillfactor = 10);
DELETE FROM chaosbench_register;
"""
_RIGHT_SIZE = """
SELECT (SELECT count(*) FROM pgbench_branches) AS branches, (SELECT count(*) FROM pgbench_tellers) AS tellers,
       (SELECT count(*) FROM pgbench_accounts) AS accounts, to_regclass('pgbench_history') IS NOT NULL AS history
"""


async def prepare(
    snapshot: Snapshot,
    login: Login,
    clock: Clock,
    needs: frozenset[str],
    scale: int,
    setup: tuple[str, ...],
    progress: Progress,
) -> bool:
    """Make what is missing, on the leader, and wait for the replicas to have it too. True if anything was made.

    needs:  ``pgbench``, ``ledger``, ``register``; setup: statements of custom workloads, run every time
    Raises QueryError, and ClusterUnavailable when there is no leader to ask.
    """
    leader = snapshot.leader
    if leader is None:
        raise ClusterUnavailable("there is no leader to make the tables on; see `chaosbench lab status`")
    made = False
    async with postgres.connected(leader.ports["sql"], login, _PATIENCE) as connection:
        if "ledger" in needs:
            await connection.execute(_LEDGER)
        if "register" in needs:
            await connection.execute(_REGISTER)
        if "pgbench" in needs and not await _is_right(connection, scale):
            await _make_pgbench(connection, scale, progress)
            made = True
        for statement in setup:
            await connection.execute(statement.encode())
    behind = {member.name for member in snapshot.replicas} - {
        member.name for member in await caught_up(snapshot, login, clock, _REPLICAS)
    }
    if behind:
        raise ClusterUnavailable(f"{', '.join(sorted(behind))} did not replay the new tables within {_REPLICAS:g} s")
    return made


async def _is_right(connection: Connection, scale: int) -> bool:
    there = await (await connection.execute("SELECT to_regclass('pgbench_accounts') IS NOT NULL AS there")).fetchone()
    if there is None or not there["there"]:
        return False
    row = await (await connection.execute(_RIGHT_SIZE)).fetchone()
    expected = {"branches": scale, "tellers": scale * TELLERS, "accounts": scale * ACCOUNTS, "history": True}
    return row == expected


async def _make_pgbench(connection: Connection, scale: int, progress: Progress) -> None:
    """All in one transaction: a half-made set of tables is never seen."""
    total = scale * ACCOUNTS
    async with connection.transaction(), connection.cursor() as cursor:
        await cursor.execute(_PGBENCH)
        async with cursor.copy("COPY pgbench_branches (bid, bbalance) FROM STDIN") as copy:
            await copy.write("".join(f"{bid}\t0\n" for bid in range(1, scale + 1)))
        async with cursor.copy("COPY pgbench_tellers (tid, bid, tbalance) FROM STDIN") as copy:
            tellers = range(1, scale * TELLERS + 1)
            await copy.write("".join(f"{tid}\t{(tid - 1) // TELLERS + 1}\t0\n" for tid in tellers))
        async with cursor.copy("COPY pgbench_accounts (aid, bid, abalance, filler) FROM STDIN") as copy:
            for done, block in _accounts(total):
                await copy.write(block)
                progress(done, total)
        await cursor.execute(_PGBENCH_KEYS)
    await connection.execute("VACUUM ANALYZE pgbench_branches, pgbench_tellers, pgbench_accounts, pgbench_history")


def _accounts(total: int) -> Iterator[tuple[int, str]]:
    """The accounts in COPY's text form, a block at a time, each with the number of rows made so far."""
    for first in range(1, total + 1, _BLOCK):
        last = min(first + _BLOCK - 1, total)
        yield last, "".join(f"{aid}\t{(aid - 1) // ACCOUNTS + 1}\t0\t\n" for aid in range(first, last + 1))
