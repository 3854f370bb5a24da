"""The observers of a real cluster: which there are, and which cannot be."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from chaosbench import postgres
from chaosbench.clock import Anchor, Clock
from chaosbench.cluster import Cluster
from chaosbench.errors import ClusterUnavailable
from chaosbench.model.cluster import Member, Role, Snapshot
from chaosbench.observers import canary, dcs, engine, nodes, proxy
from chaosbench.observers.pace import Pace
from chaosbench.observers.record import Record
from chaosbench.observers.watch import Sources

PGPOOL_SESSIONS = canary.SESSIONS + 1
"""Sessions that the observers hold at Pgpool."""

_PREPARE_S = 10.0


@asynccontextmanager
async def sources(cluster: Cluster, snapshot: Snapshot, clock: Clock, anchor: Anchor) -> AsyncIterator[Sources]:
    """Observers for every part of the cluster that can be reached; for the length of the block."""
    pace, record, missing = Pace(clock), Record(), dict[str, str]()
    etcd, postgreses = _reachable(snapshot, Role.ETCD, "etcd"), _reachable(snapshot, Role.POSTGRES, "sql")
    address = await cluster.proxy_address()
    async with aiohttp.ClientSession() as http:
        keys = dcs.Dcs(etcd, http, clock, pace, record.keys.append, record.requests.append)
        runs = {
            engine.SOURCE: engine.ContainerEvents(cluster, clock, anchor, record.engine.append).run,
            nodes.SOURCE: nodes.Nodes(postgreses, cluster.login, clock, pace, record).run,
            proxy.SOURCE: proxy.Proxy(address, cluster.login, clock, pace, record.proxy.append).run,
        }
        if etcd:
            runs[dcs.SOURCE] = keys.run
        else:
            missing[dcs.SOURCE] = "no etcd member publishes a port"
        writer: canary.Canary | None = canary.Canary(address, cluster.login, clock, pace)
        try:
            await _make_table(cluster, snapshot)
        except (ClusterUnavailable, postgres.QueryError) as error:
            writer, missing[canary.SOURCE] = None, str(error)
        if writer is not None:
            runs[canary.SOURCE] = writer.run
        yield Sources(
            pace=pace,
            record=record,
            nodes=tuple(member.name for member in postgreses),
            runs=runs,
            missing=missing,
            canary=writer,
            view=keys.view if etcd else None,
            trouble=lambda: {dcs.SOURCE: keys.trouble} if etcd and keys.trouble else {},
        )


def _reachable(snapshot: Snapshot, role: Role, service: str) -> tuple[Member, ...]:
    return tuple(member for member in snapshot.of(role) if service in member.ports)


async def _make_table(cluster: Cluster, snapshot: Snapshot) -> None:
    leader = snapshot.leader
    if leader is None:
        raise ClusterUnavailable("there is no leader to make the canary's table on")
    async with postgres.connected(leader.ports["sql"], cluster.login, _PREPARE_S) as connection:
        await connection.execute(canary.TABLE.encode())
