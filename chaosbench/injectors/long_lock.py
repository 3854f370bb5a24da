"""``long-lock``: a session takes a lock that others need, and keeps it."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from chaosbench.cluster import Cluster
from chaosbench.injectors import sql
from chaosbench.injectors.background import MARGIN_S
from chaosbench.model.cluster import Member, Role
from chaosbench.model.faults import NOTHING, Before, Need, Part
from chaosbench.model.scenario import STRICT
from chaosbench.units import Seconds

_MARK = "chaosbench-long-lock"
_LOCK_TIMEOUT = "8s"
_GRANTED = (
    "EXISTS (SELECT FROM pg_locks JOIN pg_stat_activity USING (pid) "
    f"WHERE application_name = '{_MARK}' AND wait_event = 'PgSleep' AND granted AND relation IS NOT NULL)"
)

Table = Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)?$")]
"""A table's name, with its schema or without."""


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class LongLock:
    """Lock a table, or some of its rows, on the target until ``hold`` is over."""

    kind: ClassVar[str] = "long-lock"
    hits: ClassVar[frozenset[Role]] = frozenset({Role.POSTGRES})
    touches: ClassVar[Part] = Part.SESSIONS
    needs: ClassVar[frozenset[Need]] = frozenset()
    disables: ClassVar[bool] = False

    target: str = "leader"
    table: Table
    lock: Literal["table", "rows"] = "table"
    rows: int = Field(default=1, ge=1, le=1_000_000)
    database: str = ""
    hold: Seconds = Field(default=15.0, gt=0)

    async def look(self, cluster: Cluster, member: Member) -> Before:
        """Nothing: the session has its name."""
        return NOTHING

    async def inject(self, cluster: Cluster, member: Member, before: Before) -> None:
        """Start the session; returns when it has the lock. InjectionError when it does not get it within 8 s."""
        if self.lock == "table":
            lock = f"LOCK TABLE {self.table} IN ACCESS EXCLUSIVE MODE"
        else:
            lock = f"SELECT count(*) FROM (SELECT FROM {self.table} LIMIT {self.rows} FOR UPDATE) AS locked"  # noqa: S608 - a name by its pattern, a number
        keep = f"SELECT pg_sleep({self.hold + MARGIN_S:g})"
        statements = ["BEGIN", f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'", lock, keep, "ROLLBACK"]
        await sql.hold(cluster, member, _MARK, statements, self.hold, self.database or cluster.login.database)
        await sql.await_held(cluster, member, _MARK, _GRANTED)

    async def present(self, cluster: Cluster, member: Member, before: Before) -> bool:
        """The session is there."""
        return await sql.held(cluster, member, _MARK) > 0

    async def heal(self, cluster: Cluster, member: Member, before: Before) -> None:
        """End exactly that session; its transaction is rolled back."""
        await sql.release(cluster, member, _MARK)

    def remedy(self, member: Member, before: Before) -> str:
        """End it."""
        return sql.by_hand(member, _MARK)
