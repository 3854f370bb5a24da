"""``pause``: freeze every process of a member's container (the cgroup freezer); thaw after ``hold``.

A frozen member keeps its sockets: peers see silence, not a closed connection.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from chaosbench.cluster import Cluster
from chaosbench.model.cluster import Member, Role, RunState
from chaosbench.model.scenario import STRICT
from chaosbench.units import Seconds


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Pause:
    """Freeze the target's container; thaw it after ``hold``."""

    kind: ClassVar[str] = "pause"
    hits: ClassVar[frozenset[Role]] = frozenset(Role)

    target: str
    hold: Seconds = Field(default=15.0, gt=0)

    async def inject(self, cluster: Cluster, member: Member) -> None:
        """Freeze it."""
        await cluster.pause(member)

    async def heal(self, cluster: Cluster, member: Member) -> None:
        """Thaw it if it is frozen."""
        if await cluster.state(member) is RunState.PAUSED:
            await cluster.unpause(member)

    def remedy(self, member: Member) -> str:
        """Unpause the container."""
        return f"docker unpause {member.container_id[:12]}"
