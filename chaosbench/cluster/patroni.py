"""Patroni's REST API, as far as chaosbench needs it.

``GET /patroni`` answers without the DCS, so a node can be asked while etcd is
frozen; ``GET /cluster`` cannot. A switchover goes to the leader's own API.
"""

from __future__ import annotations

import asyncio
import time
from base64 import b64encode
from collections.abc import Mapping
from typing import Any

import aiohttp

from chaosbench.errors import FaultError, InjectionError
from chaosbench.model.cluster import Address, NodeView

USER = "patroni"

_STALE_DCS_S = 15.0
_SWITCHOVER_S = 40.0  # Patroni itself waits for the new leader before it answers, at least 10 s
_ROLES = {"primary": "leader", "master": "leader", "replica": "replica", "standby_leader": "leader"}


async def ask(http: aiohttp.ClientSession, address: Address, seconds: float) -> NodeView:
    """What one node says of itself; the default view (``silent``) when it says nothing in time."""
    try:
        async with asyncio.timeout(seconds), http.get(f"http://{address}/patroni") as response:
            return view(await response.json(), time.time())
    except (TimeoutError, aiohttp.ClientError, ValueError):
        return NodeView()


def view(said: Mapping[str, Any], now: float) -> NodeView:
    """``GET /patroni``'s answer as a view; ``now`` in seconds since the epoch.

    A replica's ``replication_state`` is kept instead of its bare ``running``,
    which would not tell streaming from replay of an archive.
    """
    role = _ROLES.get(str(said.get("role")), "replica")
    state = str(said.get("state", "unknown"))
    if role == "replica":
        state = str(said.get("replication_state", state))
    return NodeView(
        role=role,
        state=state,
        timeline=said.get("timeline"),
        replicating=tuple(
            sorted(row["application_name"] for row in said.get("replication", ()) if row.get("state") == "streaming")
        ),
        dcs_reachable=now - said.get("dcs_last_seen", now) < _STALE_DCS_S,
        sync=bool(said.get("sync_standby") or said.get("quorum_standby")),
        wal_position=_wal_position(said.get("xlog", {})),
    )


def _wal_position(xlog: Mapping[str, Any]) -> int | None:
    """Where a primary writes, or what a standby has replayed."""
    position = xlog.get("location", xlog.get("replayed_location"))
    return int(position) if position is not None else None


async def history(http: aiohttp.ClientSession, address: Address, seconds: float) -> Mapping[int, int] | None:
    """Timelines that were left, to the WAL position where the next one began; None when the node does not say."""
    try:
        async with asyncio.timeout(seconds), http.get(f"http://{address}/history") as response:
            return {int(timeline): int(lsn) for timeline, lsn, *_ in await response.json()}
    except (TimeoutError, aiohttp.ClientError, ValueError):
        return None


async def switchover(
    http: aiohttp.ClientSession, address: Address, password: str, leader: str, candidate: str | None
) -> None:
    """Ask the leader's Patroni to hand over; returns when another node leads. InjectionError in Patroni's words."""
    wish = {"leader": leader} | ({"candidate": candidate} if candidate else {})
    try:
        status, text = await request(http, address, password, "POST", "/switchover", body=wish, seconds=_SWITCHOVER_S)
    except FaultError as error:
        raise InjectionError(f"switchover from {leader}: {error}") from error
    if status != 200:
        raise InjectionError(f"switchover from {leader}: Patroni answered {status}: {text}")


async def request(
    http: aiohttp.ClientSession,
    address: Address,
    password: str,
    method: str,
    path: str,
    *,
    body: Mapping[str, Any] | None,
    seconds: float,
) -> tuple[int, str]:
    """One request to a node's Patroni, logged in; status and text on one line. FaultError when it is not reached."""
    headers = {"Authorization": "Basic " + b64encode(f"{USER}:{password}".encode()).decode()}
    try:
        async with (
            asyncio.timeout(seconds),
            http.request(method, f"http://{address}{path}", json=body, headers=headers) as response,
        ):
            return response.status, " ".join((await response.text()).split())
    except TimeoutError:
        raise FaultError(f"no answer from Patroni within {seconds:g} s") from None
    except aiohttp.ClientError as error:
        raise FaultError(f"Patroni at {address} is not reachable: {error}") from error
