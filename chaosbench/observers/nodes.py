"""Every PostgreSQL node asked directly: is it out of recovery, on which timeline, does it stream, where is it?

As soon as two nodes say that they are primaries, all are asked again at once, and those two often: by that it is told
apart from a switchover (see ``primaries``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from chaosbench.clock import Clock
from chaosbench.model.cluster import Address, Login, Member
from chaosbench.model.observation import NodeAnswer, NodeChange, NodeState
from chaosbench.observers.changes import Changes
from chaosbench.observers.pace import SLOW_S, Pace
from chaosbench.observers.wire import Row, Wire
from chaosbench.postgres import QueryError

SOURCE = "nodes"
PERIOD_S = 0.01
RECONNECT_S = 0.02
DOUBT_S = 0.02
"""Nodes are asked so often at least while two of them say that they are primaries."""
_CONNECT_S = 1.0
_ANSWER_S = 1.0

# Of a standby the receiver is asked, which leads it; a primary writes its timeline into the names of its WAL files.
_SQL = b"""
SELECT recovering,
       CASE WHEN recovering
            THEN (SELECT received_tli FROM pg_stat_wal_receiver WHERE status = 'streaming')
            ELSE ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int
       END,
       coalesce(host(inet_server_addr()), 'local')
FROM pg_is_in_recovery() AS recovering
"""


class Listener(Protocol):
    """Who is told."""

    def node(self, change: NodeChange) -> None:
        """A node answers otherwise than before."""
        ...

    def answered(self, answer: NodeAnswer) -> None:
        """Every single answer, and its absence."""
        ...

    @property
    def doubtful(self) -> bool:
        """Whether more than one node said last that it is a primary."""
        ...


class Nodes:
    """Follows the nodes; :meth:`run` ends only when cancelled."""

    def __init__(self, members: Sequence[Member], login: Login, clock: Clock, pace: Pace, listener: Listener) -> None:
        self._members = members
        self._login = login
        self._clock = clock
        self._pace = pace
        self._listener = listener
        self._doubted = False

    async def run(self) -> None:
        """Ask every node until cancelled."""
        async with asyncio.TaskGroup() as group:
            for member in self._members:
                group.create_task(self._follow(member.name, member.ports["sql"]))

    async def _follow(self, node: str, address: Address) -> None:
        changes = Changes[NodeState](lambda at, after, state: self._listener.node(NodeChange(at, after, node, state)))
        wire: Wire | None = None
        try:
            while True:
                asked_ns, state, inside = self._clock.now(), NodeState(), None
                try:
                    self._pace.asked(SOURCE)
                    if wire is None:
                        wire = await Wire.open(address, self._login, "chaosbench-nodes", _CONNECT_S)
                        asked_ns = self._clock.now()
                        changes.still(asked_ns)  # nobody was let in while we waited to be
                        await wire.prepare(_SQL, _ANSWER_S)
                    row = (await wire.ask_prepared(_ANSWER_S))[0]
                    state, inside = state_of(row), address_of(row)
                except QueryError:
                    if wire is not None:
                        wire.close()
                        wire = None
                answered_ns = self._clock.now()
                changes.sample(state, asked_ns, answered_ns)
                self._listener.answered(NodeAnswer(node, asked_ns, answered_ns, state.primary, inside))
                await self._pause(PERIOD_S if wire is not None else RECONNECT_S)
        finally:
            if wire is not None:
                wire.close()

    async def _pause(self, period: float) -> None:
        doubtful = self._listener.doubtful
        if doubtful and not self._doubted:
            self._pace.nudge()
        self._doubted = doubtful
        await self._pace.tick(period, DOUBT_S if doubtful else SLOW_S)


def state_of(row: Row) -> NodeState:
    """A node's answer as its state."""
    recovering, timeline = row[0] == b"t", row[1]
    return NodeState(
        reachable=True,
        primary=not recovering,
        timeline=int(timeline) if timeline is not None else None,
        streaming=recovering and timeline is not None,
    )


def address_of(row: Row) -> str | None:
    """Where the node says that it is."""
    return str(row[2], "utf-8") if row[2] is not None else None
