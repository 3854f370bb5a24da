"""Every node asked directly, past Pgpool, over a connection that is kept: is it out of recovery, and where is it?"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from chaosbench import postgres
from chaosbench.clock import Clock
from chaosbench.model.cluster import Login, Member

_ANSWER_S = 1.0
_SQL = "SELECT NOT pg_is_in_recovery() AS is_primary, coalesce(host(inet_server_addr()), 'local') AS address"


@dataclass(frozen=True, slots=True)
class Answer:
    """What one node said; ``primary`` and ``address`` (its own, inside its network) are None when it said nothing."""

    node: str
    asked_ns: int
    answered_ns: int
    primary: bool | None
    address: str | None


Ask = Callable[[], Awaitable[tuple[Answer, ...]]]
"""Asks all nodes at once; each is given a second."""


@asynccontextmanager
async def asking(members: Sequence[Member], login: Login, clock: Clock) -> AsyncIterator[Ask]:
    """A way to ask these nodes, for the length of the block. Costs a query a node; reconnects only after trouble."""
    asked = [_Node(member, login, clock) for member in members if "sql" in member.ports]

    async def ask() -> tuple[Answer, ...]:
        return tuple(await asyncio.gather(*(node.ask() for node in asked)))

    try:
        yield ask
    finally:
        for node in asked:
            await node.kept.close()


class _Node:
    """One node and the connection to it."""

    def __init__(self, member: Member, login: Login, clock: Clock) -> None:
        self.name = member.name
        self.kept = postgres.Kept(member.ports["sql"], login)
        self._clock = clock

    async def ask(self) -> Answer:
        """Ask, connecting first if need be."""
        asked_ns = self._clock.now()
        try:
            row = await self.kept.row(_SQL, _ANSWER_S)
        except postgres.QueryError:
            return Answer(self.name, asked_ns, self._clock.now(), None, None)
        return Answer(self.name, asked_ns, self._clock.now(), row["is_primary"], row["address"])
