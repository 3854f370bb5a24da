"""``reinitialise``: a replica's data are thrown away and copied anew from the leader."""

from __future__ import annotations

from typing import ClassVar

from pydantic.dataclasses import dataclass

from chaosbench.cluster import Cluster
from chaosbench.errors import InjectionError
from chaosbench.model.cluster import Member, Role
from chaosbench.model.faults import NOTHING, Before, Need, Part
from chaosbench.model.scenario import STRICT


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Reinitialise:
    """Have Patroni throw the target's data away and copy them anew; a leader refuses."""

    kind: ClassVar[str] = "reinitialise"
    hits: ClassVar[frozenset[Role]] = frozenset({Role.POSTGRES})
    touches: ClassVar[Part] = Part.PROCESSES
    needs: ClassVar[frozenset[Need]] = frozenset()
    disables: ClassVar[bool] = True
    hold: ClassVar[float] = 0.0

    target: str = "replica"

    async def look(self, cluster: Cluster, member: Member) -> Before:
        """Nothing: what is copied is what the leader has."""
        return NOTHING

    async def inject(self, cluster: Cluster, member: Member, before: Before) -> None:
        """Ask for it; returns when Patroni begins. InjectionError in Patroni's words."""
        status, text = await cluster.patroni(member, "POST", "/reinitialize", {"force": True})
        if status != 200:
            raise InjectionError(f"reinitialise of {member.name}: Patroni answered {status}: {text}")

    async def present(self, cluster: Cluster, member: Member, before: Before) -> bool:
        """It is the replica's new beginning, not a fault to be undone."""
        return False

    async def heal(self, cluster: Cluster, member: Member, before: Before) -> None:
        """Nothing to undo: Patroni copies until it streams, which redundancy (T7) and the health check wait for."""

    def remedy(self, member: Member, before: Before) -> str:
        """Show the cluster as Patroni sees it."""
        return f"docker exec {member.container_id[:12]} patronictl list"
