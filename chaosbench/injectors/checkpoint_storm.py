"""``checkpoint-storm``: checkpoint after checkpoint, each with its flood of writes and full page images."""

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
from chaosbench.units import Seconds

_MARK = "chaosbench-checkpoint-storm"


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class CheckpointStorm:
    """Have the target do a checkpoint at every ``interval`` until ``hold`` is over; a replica does restartpoints."""

    kind: ClassVar[str] = "checkpoint-storm"
    hits: ClassVar[frozenset[Role]] = frozenset({Role.POSTGRES})
    touches: ClassVar[Part] = Part.SESSIONS
    needs: ClassVar[frozenset[Need]] = frozenset()
    disables: ClassVar[bool] = False

    target: str = "leader"
    interval: Seconds = Field(default=0.5, ge=0.05)
    hold: Seconds = Field(default=15.0, gt=0)

    async def look(self, cluster: Cluster, member: Member) -> Before:
        """Nothing: the session has its name."""
        return NOTHING

    async def inject(self, cluster: Cluster, member: Member, before: Before) -> None:
        """Start the session that asks for them; each is waited for, so a slow one delays the next."""
        body = sql.repeated("CHECKPOINT;", self.interval, self.hold + MARGIN_S)
        await sql.hold(cluster, member, _MARK, [body], self.hold)
        await sql.await_held(cluster, member, _MARK)

    async def present(self, cluster: Cluster, member: Member, before: Before) -> bool:
        """The session is there."""
        return await sql.held(cluster, member, _MARK) > 0

    async def heal(self, cluster: Cluster, member: Member, before: Before) -> None:
        """End it."""
        await sql.release(cluster, member, _MARK)

    def remedy(self, member: Member, before: Before) -> str:
        """End it."""
        return sql.by_hand(member, _MARK)
