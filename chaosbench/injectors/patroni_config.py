"""``patroni-config``: keys of Patroni's dynamic configuration are changed for a while.

Failsafe mode, synchronous mode, ``ttl``, ``loop_wait``: whatever the DCS holds for
the whole cluster. Members follow within a ``loop_wait``.
"""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from chaosbench.cluster import Cluster
from chaosbench.errors import InjectionError
from chaosbench.injectors import dynamic
from chaosbench.model.cluster import Member, Role
from chaosbench.model.faults import Before, Need, Part
from chaosbench.model.scenario import STRICT
from chaosbench.units import Seconds


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class PatroniConfig:
    """Change keys of Patroni's dynamic configuration until ``hold`` is over; then each is exactly as before."""

    kind: ClassVar[str] = "patroni-config"
    hits: ClassVar[frozenset[Role]] = frozenset({Role.POSTGRES})
    touches: ClassVar[Part] = Part.SETTINGS
    needs: ClassVar[frozenset[Need]] = frozenset()
    disables: ClassVar[bool] = False

    target: str = "leader"
    settings: dict[str, Any] = Field(min_length=1)
    hold: Seconds = Field(default=15.0, gt=0)

    async def look(self, cluster: Cluster, member: Member) -> Before:
        """The keys' values now, null for those that are absent. InjectionError when all are as wanted already."""
        now = await dynamic.read(cluster, member)
        if not dynamic.differs(self.settings, now):
            raise InjectionError(f"patroni-config: {', '.join(self.settings)} is set so already")
        return {"settings": dynamic.earlier(self.settings, now)}

    async def inject(self, cluster: Cluster, member: Member, before: Before) -> None:
        """Change them."""
        await dynamic.patch(cluster, member, self.settings)

    async def present(self, cluster: Cluster, member: Member, before: Before) -> bool:
        """A key is not as before."""
        return dynamic.differs(before["settings"], await dynamic.read(cluster, member))

    async def heal(self, cluster: Cluster, member: Member, before: Before) -> None:
        """Change back what is not as before."""
        if await self.present(cluster, member, before):
            await dynamic.patch(cluster, member, before["settings"])

    def remedy(self, member: Member, before: Before) -> str:
        """Change them back."""
        return dynamic.by_hand(member, before["settings"])
