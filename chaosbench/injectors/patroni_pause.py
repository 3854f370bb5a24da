"""``patroni-pause``: Patroni's maintenance mode: it watches, and acts on nothing.

A leader that dies meanwhile is not replaced.
"""

from __future__ import annotations

import asyncio
import json
from typing import ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from chaosbench.cluster import Cluster
from chaosbench.errors import FaultError, InjectionError
from chaosbench.injectors import dynamic
from chaosbench.model.cluster import Member, Role
from chaosbench.model.faults import Before, Need, Part
from chaosbench.model.scenario import STRICT
from chaosbench.units import Seconds

_PAUSED = {"pause": True}
_LOOK_S = 0.5
_HEED_S = 15.0


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class PatroniPause:
    """Put the cluster into Patroni's maintenance mode until ``hold`` is over."""

    kind: ClassVar[str] = "patroni-pause"
    hits: ClassVar[frozenset[Role]] = frozenset({Role.POSTGRES})
    touches: ClassVar[Part] = Part.SETTINGS
    needs: ClassVar[frozenset[Need]] = frozenset()
    disables: ClassVar[bool] = False

    target: str = "leader"
    hold: Seconds = Field(default=15.0, gt=0)

    async def look(self, cluster: Cluster, member: Member) -> Before:
        """What the key holds now, null when it is absent. InjectionError when the mode is on already."""
        now = await dynamic.read(cluster, member)
        if not dynamic.differs(_PAUSED, now):
            raise InjectionError("patroni-pause: Patroni is in maintenance mode already")
        return {"settings": dynamic.earlier(_PAUSED, now)}

    async def inject(self, cluster: Cluster, member: Member, before: Before) -> None:
        """Turn it on; returns when the target heeds it, within a ``loop_wait``."""
        await dynamic.patch(cluster, member, _PAUSED)
        if not await self._heeded(cluster, member, wanted=True):
            raise InjectionError(f"patroni-pause: {member.name} does not heed it within {_HEED_S:g} s")

    async def present(self, cluster: Cluster, member: Member, before: Before) -> bool:
        """The DCS says so."""
        return not dynamic.differs(_PAUSED, await dynamic.read(cluster, member))

    async def heal(self, cluster: Cluster, member: Member, before: Before) -> None:
        """Put the key back; returns when the target heeds that, or after so long as that takes at most."""
        if await self.present(cluster, member, before):
            await dynamic.patch(cluster, member, before["settings"])
            await self._heeded(cluster, member, wanted=False)

    def remedy(self, member: Member, before: Before) -> str:
        """Resume."""
        return f"docker exec {member.container_id[:12]} patronictl resume"

    async def _heeded(self, cluster: Cluster, member: Member, *, wanted: bool) -> bool:
        for _ in range(round(_HEED_S / _LOOK_S)):
            try:
                _, text = await cluster.patroni(member, "GET", "/patroni")
                if bool(json.loads(text).get("pause")) is wanted:
                    return True
            except (FaultError, ValueError):
                pass  # it may be gone by another fault; the DCS has the order
            await asyncio.sleep(_LOOK_S)
        return False
