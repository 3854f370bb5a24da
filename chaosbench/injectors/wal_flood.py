"""``wal-flood``: WAL is written at a rate, shipped to every replica and archived like any other, and means nothing.

By logical messages, which no table holds: so there is no schema to drop
afterwards. Bounded in time by ``hold``, and in bytes by ``rate`` times ``hold``.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from chaosbench.cluster import Cluster
from chaosbench.injectors import sql
from chaosbench.injectors.background import MARGIN_S
from chaosbench.model.cluster import Member, Role
from chaosbench.model.faults import NOTHING, Before, Need, Part
from chaosbench.model.scenario import STRICT
from chaosbench.units import Seconds, Throughput

_MARK = "chaosbench-wal-flood"
_CHUNK = 256 * 1024

# As much as is due by now, a chunk at a time, each flushed as a commit would be; then a short sleep.
_FLOOD = """DO $$
DECLARE
    began timestamptz := clock_timestamp();
    past float := 0;
    written bigint := 0;
    chunk text := repeat('chaosbench', {chunk} / 10);
BEGIN
    WHILE past < {seconds} LOOP
        IF written < {rate} * past THEN
            PERFORM pg_logical_emit_message(false, 'chaosbench', chunk, true);
            written := written + length(chunk);
        ELSE
            PERFORM pg_sleep(0.01);
        END IF;
        COMMIT;
        past := extract(epoch FROM clock_timestamp() - began);
    END LOOP;
END $$"""


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class WalFlood:
    """Write ``rate`` of WAL on the target, the leader, until ``hold`` is over."""

    kind: ClassVar[str] = "wal-flood"
    hits: ClassVar[frozenset[Role]] = frozenset({Role.POSTGRES})
    touches: ClassVar[Part] = Part.SESSIONS
    needs: ClassVar[frozenset[Need]] = frozenset()
    disables: ClassVar[bool] = False

    target: str = "leader"
    rate: Throughput = 16 * 1024**2
    hold: Seconds = Field(default=15.0, gt=0)

    async def look(self, cluster: Cluster, member: Member) -> Before:
        """Nothing: the session has its name, and what it writes need not be taken back."""
        return NOTHING

    async def inject(self, cluster: Cluster, member: Member, before: Before) -> None:
        """Start the session that writes. InjectionError on a replica, in PostgreSQL's words."""
        chunk = min(_CHUNK, self.rate)
        body = _FLOOD.format(chunk=chunk, rate=self.rate, seconds=f"{self.hold:g}")
        await sql.hold(cluster, member, _MARK, [body, f"SELECT pg_sleep({MARGIN_S:g})"], self.hold)
        await sql.await_held(cluster, member, _MARK, "NOT pg_is_in_recovery()")

    async def present(self, cluster: Cluster, member: Member, before: Before) -> bool:
        """The session is there."""
        return await sql.held(cluster, member, _MARK) > 0

    async def heal(self, cluster: Cluster, member: Member, before: Before) -> None:
        """End it."""
        await sql.release(cluster, member, _MARK)

    def remedy(self, member: Member, before: Before) -> str:
        """End it."""
        return sql.by_hand(member, _MARK)
