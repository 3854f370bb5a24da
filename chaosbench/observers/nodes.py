"""Every PostgreSQL node asked directly: is it out of recovery, on which timeline, does it stream?"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from chaosbench.clock import Clock
from chaosbench.model.cluster import Address, Login, Member
from chaosbench.model.observation import NodeChange, NodeState
from chaosbench.observers.changes import Changes
from chaosbench.observers.pace import Pace
from chaosbench.observers.wire import Row, Wire
from chaosbench.postgres import QueryError

SOURCE = "nodes"
PERIOD_S = 0.01
RECONNECT_S = 0.02
_CONNECT_S = 1.0
_ANSWER_S = 1.0

# Of a standby the receiver is asked, which leads it; a primary writes its timeline into the names of its WAL files.
_SQL = b"""
SELECT recovering,
       CASE WHEN recovering
            THEN (SELECT received_tli FROM pg_stat_wal_receiver WHERE status = 'streaming')
            ELSE ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int
       END
FROM pg_is_in_recovery() AS recovering
"""


class Nodes:
    """Follows the nodes; :meth:`run` ends only when cancelled."""

    def __init__(
        self, members: Sequence[Member], login: Login, clock: Clock, pace: Pace, heard: Callable[[NodeChange], None]
    ) -> None:
        self._members = members
        self._login = login
        self._clock = clock
        self._pace = pace
        self._heard = heard

    async def run(self) -> None:
        """Ask every node until cancelled."""
        async with asyncio.TaskGroup() as group:
            for member in self._members:
                group.create_task(self._follow(member.name, member.ports["sql"]))

    async def _follow(self, node: str, address: Address) -> None:
        changes = Changes[NodeState](lambda at, after, state: self._heard(NodeChange(at, after, node, state)))
        wire: Wire | None = None
        try:
            while True:
                asked_ns = self._clock.now()
                try:
                    self._pace.asked(SOURCE)
                    if wire is None:
                        wire = await Wire.open(address, self._login, "chaosbench-nodes", _CONNECT_S)
                        asked_ns = self._clock.now()
                        changes.still(asked_ns)  # nobody was let in while we waited to be
                        await wire.prepare(_SQL, _ANSWER_S)
                    state = state_of((await wire.ask_prepared(_ANSWER_S))[0])
                except QueryError:
                    state = NodeState()
                    if wire is not None:
                        wire.close()
                        wire = None
                changes.sample(state, asked_ns, self._clock.now())
                await self._pace.tick(PERIOD_S if wire is not None else RECONNECT_S)
        finally:
            if wire is not None:
                wire.close()


def state_of(row: Row) -> NodeState:
    """A node's answer as its state."""
    recovering, timeline = row[0] == b"t", row[1]
    return NodeState(
        reachable=True,
        primary=not recovering,
        timeline=int(timeline) if timeline is not None else None,
        streaming=recovering and timeline is not None,
    )
