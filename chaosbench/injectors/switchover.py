"""``switchover``: ask Patroni to hand leadership to another node, as an operator would before maintenance."""

from __future__ import annotations

from typing import ClassVar

from pydantic.dataclasses import dataclass

from chaosbench.cluster import Cluster
from chaosbench.errors import InjectionError
from chaosbench.model.cluster import Member, Role
from chaosbench.model.faults import NOTHING, Before, Need, Part
from chaosbench.model.scenario import STRICT


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Switchover:
    """Hand leadership over through Patroni's REST API; to ``candidate``, or to any healthy replica."""

    kind: ClassVar[str] = "switchover"
    hits: ClassVar[frozenset[Role]] = frozenset({Role.POSTGRES})
    touches: ClassVar[Part] = Part.SETTINGS
    needs: ClassVar[frozenset[Need]] = frozenset()
    disables: ClassVar[bool] = False
    hold: ClassVar[float] = 0.0

    target: str = "leader"
    candidate: str | None = None

    async def look(self, cluster: Cluster, member: Member) -> Before:
        """Nothing: leadership is not handed back."""
        return NOTHING

    async def inject(self, cluster: Cluster, member: Member, before: Before) -> None:
        """Ask Patroni; returns when the request was accepted and carried out."""
        candidate = None
        if self.candidate is not None:
            candidate = (await cluster.snapshot()).member(self.candidate)
            if candidate is None:
                raise InjectionError(f"switchover: no member is called {self.candidate!r}")
        await cluster.switchover(member, candidate)

    async def present(self, cluster: Cluster, member: Member, before: Before) -> bool:
        """It is over at once."""
        return False

    async def heal(self, cluster: Cluster, member: Member, before: Before) -> None:
        """Nothing to undo: the cluster has a leader, only another one."""

    def remedy(self, member: Member, before: Before) -> str:
        """Show the cluster as Patroni sees it."""
        return f"docker exec {member.container_id[:12]} patronictl list"
