"""``patroni-restart``: Patroni restarts PostgreSQL on a member, as after a change of settings; the leader stays."""

from __future__ import annotations

from typing import ClassVar

from pydantic.dataclasses import dataclass

from chaosbench.cluster import Cluster
from chaosbench.errors import InjectionError
from chaosbench.model.cluster import Member, Role
from chaosbench.model.faults import NOTHING, Before, Need, Part
from chaosbench.model.scenario import STRICT

_RESTART_S = 40.0  # Patroni answers when PostgreSQL is up again


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class PatroniRestart:
    """Restart the target's PostgreSQL through Patroni's REST API."""

    kind: ClassVar[str] = "patroni-restart"
    hits: ClassVar[frozenset[Role]] = frozenset({Role.POSTGRES})
    touches: ClassVar[Part] = Part.PROCESSES
    needs: ClassVar[frozenset[Need]] = frozenset()
    disables: ClassVar[bool] = True
    hold: ClassVar[float] = 0.0

    target: str

    async def look(self, cluster: Cluster, member: Member) -> Before:
        """Nothing: Patroni itself brings PostgreSQL back."""
        return NOTHING

    async def inject(self, cluster: Cluster, member: Member, before: Before) -> None:
        """Ask for it; returns when PostgreSQL is up again. InjectionError in Patroni's words."""
        status, text = await cluster.patroni(member, "POST", "/restart", {}, timeout=_RESTART_S)
        if status != 200:
            raise InjectionError(f"patroni-restart of {member.name}: Patroni answered {status}: {text}")

    async def present(self, cluster: Cluster, member: Member, before: Before) -> bool:
        """It is over at once."""
        return False

    async def heal(self, cluster: Cluster, member: Member, before: Before) -> None:
        """Nothing to undo."""

    def remedy(self, member: Member, before: Before) -> str:
        """Show the cluster as Patroni sees it."""
        return f"docker exec {member.container_id[:12]} patronictl list"
