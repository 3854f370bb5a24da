"""Waiting until every replica has replayed what the leader had."""

from __future__ import annotations

from chaosbench import postgres
from chaosbench.clock import Clock, to_ns
from chaosbench.model.cluster import Login, Member, Snapshot


async def caught_up(snapshot: Snapshot, login: Login, clock: Clock, timeout: float) -> tuple[Member, ...]:
    """Nodes that have replayed all WAL which the leader had at the call; the leader is one of them.

    Waits at most ``timeout`` seconds for the rest. Raises QueryError when the leader cannot be asked.
    """
    leader = snapshot.leader
    if leader is None:
        return ()
    rows = await postgres.fetch(leader.ports["sql"], login, "SELECT pg_current_wal_lsn() AS lsn", timeout=5)
    target = rows[0]["lsn"]
    done = [leader]
    waiting = list(snapshot.replicas)
    deadline = clock.now() + to_ns(timeout)
    while waiting and clock.now() < deadline:
        for member in tuple(waiting):
            if await _replayed(member, login, target):
                waiting.remove(member)
                done.append(member)
        if waiting:
            await clock.sleep(0.1)
    return tuple(sorted(done, key=lambda member: member.name))


async def _replayed(member: Member, login: Login, lsn: str) -> bool:
    sql = "SELECT pg_last_wal_replay_lsn() >= $1::pg_lsn AS replayed"
    try:
        rows = await postgres.fetch(member.ports["sql"], login, sql, lsn, timeout=2)
    except postgres.QueryError:
        return False
    return bool(rows[0]["replayed"])
