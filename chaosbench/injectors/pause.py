"""``pause``: freeze every process of a member's container (the cgroup freezer); thaw after ``hold``.

A frozen member keeps its sockets: peers see silence, not a closed connection.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from chaosbench.cluster import Cluster
from chaosbench.model.cluster import Member, Role, RunState
from chaosbench.model.faults import NOTHING, Before, Need, Part
from chaosbench.model.scenario import STRICT
from chaosbench.units import Seconds


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Pause:
    """Freeze the target's container; thaw it after ``hold``."""

    kind: ClassVar[str] = "pause"
    hits: ClassVar[frozenset[Role]] = frozenset(Role)
    touches: ClassVar[Part] = Part.CONTAINER
    needs: ClassVar[frozenset[Need]] = frozenset()
    disables: ClassVar[bool] = True

    target: str
    hold: Seconds = Field(default=15.0, gt=0)

    async def look(self, cluster: Cluster, member: Member) -> Before:
        """Nothing: a member that is hit runs, and shall run afterwards."""
        return NOTHING

    async def inject(self, cluster: Cluster, member: Member, before: Before) -> None:
        """Freeze it."""
        await cluster.pause(member)

    async def present(self, cluster: Cluster, member: Member, before: Before) -> bool:
        """It is frozen."""
        return await cluster.state(member) is RunState.PAUSED

    async def heal(self, cluster: Cluster, member: Member, before: Before) -> None:
        """Thaw it if it is frozen."""
        if await self.present(cluster, member, before):
            await cluster.unpause(member)

    def remedy(self, member: Member, before: Before) -> str:
        """Unpause the container."""
        return f"docker unpause {member.container_id[:12]}"
