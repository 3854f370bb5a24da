"""``connection-exhaustion``: the server has no connection left to give; clients get 53300.

A program inside the member's container holds the connections, and takes every
one that comes free. Superusers still get in: the last few are kept for them, and
Patroni looks after its cluster with those.
"""

from __future__ import annotations

import asyncio
from typing import ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from chaosbench.cluster import Cluster
from chaosbench.errors import InjectionError
from chaosbench.injectors import background, sql
from chaosbench.model.cluster import Member, Role
from chaosbench.model.faults import NOTHING, Before, Need, Part
from chaosbench.model.scenario import STRICT
from chaosbench.units import Seconds

_MARK = "chaosbench-connection-exhaustion"
_WAIT_S = 25.0
_LOOK_S = 0.5

# Words: the mark, how many to hold (0: all), seconds. Says "full" once it holds what it can.
_HOLDER = """
import sys, time, psycopg2
mark, wanted, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
def connect():
    return psycopg2.connect(dbname="postgres", application_name=mark)
first = connect()
first.autocommit = True
cursor = first.cursor()
held, told, ends = [first], False, time.monotonic() + seconds
while time.monotonic() < ends:
    cursor.execute("SELECT current_setting('max_connections')::int"
                   " - current_setting('superuser_reserved_connections')::int"
                   " - current_setting('reserved_connections')::int"
                   " - (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')")
    free = cursor.fetchone()[0]
    more = free if not wanted else min(free, wanted - len(held))
    for _ in range(max(0, more)):
        held.append(connect())
    if more <= 0:
        if not told:
            print("full", flush=True)
        told = True
        time.sleep(0.2)
"""


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class ConnectionExhaustion:
    """Hold ``connections`` of the target, or all but those reserved for superusers, until ``hold`` is over."""

    kind: ClassVar[str] = "connection-exhaustion"
    hits: ClassVar[frozenset[Role]] = frozenset({Role.POSTGRES})
    touches: ClassVar[Part] = Part.SESSIONS
    needs: ClassVar[frozenset[Need]] = frozenset()
    disables: ClassVar[bool] = True

    target: str = "leader"
    connections: int | None = Field(default=None, ge=1, le=100_000)
    hold: Seconds = Field(default=15.0, gt=0)

    async def look(self, cluster: Cluster, member: Member) -> Before:
        """Nothing: the connections have their name."""
        return NOTHING

    async def inject(self, cluster: Cluster, member: Member, before: Before) -> None:
        """Start the holder; returns when it has all that it is to have."""
        lifetime = self.hold + _WAIT_S + background.MARGIN_S
        command = ["python3", "-c", _HOLDER, _MARK, str(self.connections or 0), f"{lifetime:g}"]
        await background.start(cluster, member, _MARK, command, lifetime, user=sql.POSTGRES)
        for _ in range(round(_WAIT_S / _LOOK_S)):
            said = await background.output(cluster, member, _MARK)
            if said == "full":
                return
            if said:
                raise InjectionError(f"connection-exhaustion on {member.name}: {said}")
            await asyncio.sleep(_LOOK_S)
        raise InjectionError(f"connection-exhaustion: {member.name} is not full after {_WAIT_S:g} s")

    async def present(self, cluster: Cluster, member: Member, before: Before) -> bool:
        """One of the connections is there."""
        return await sql.held(cluster, member, _MARK) > 0

    async def heal(self, cluster: Cluster, member: Member, before: Before) -> None:
        """End them all."""
        await sql.release(cluster, member, _MARK)

    def remedy(self, member: Member, before: Before) -> str:
        """End them all."""
        return sql.by_hand(member, _MARK)
