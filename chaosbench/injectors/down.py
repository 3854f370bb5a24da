"""Faults that take a member's container down: however it went, healing starts it, and the member is as before."""

from __future__ import annotations

from chaosbench.cluster import Cluster
from chaosbench.model.cluster import Member, RunState
from chaosbench.model.faults import NOTHING, Before


class Down:
    """All verbs of such a fault but ``inject``."""

    __slots__ = ()

    async def look(self, cluster: Cluster, member: Member) -> Before:
        """Nothing: a member that is hit runs, and shall run afterwards."""
        return NOTHING

    async def present(self, cluster: Cluster, member: Member, before: Before) -> bool:
        """It does not run."""
        return await cluster.state(member) is not RunState.RUNNING

    async def heal(self, cluster: Cluster, member: Member, before: Before) -> None:
        """Start it unless it runs."""
        if await self.present(cluster, member, before):
            await cluster.start(member)

    def remedy(self, member: Member, before: Before) -> str:
        """Start the container."""
        return f"docker start {member.container_id[:12]}"
