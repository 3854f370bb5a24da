"""``cpu-burn``: busy processes inside a member's container compete with it for its processor time."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from chaosbench.cluster import Cluster
from chaosbench.injectors import background
from chaosbench.model.cluster import Member, Role
from chaosbench.model.faults import NOTHING, Before, Need, Part
from chaosbench.model.scenario import STRICT
from chaosbench.units import Seconds

_MARK = "chaosbench-cpu-burn"


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class CpuBurn:
    """Keep ``processes`` busy inside the target's container until ``hold`` is over."""

    kind: ClassVar[str] = "cpu-burn"
    hits: ClassVar[frozenset[Role]] = frozenset(Role)
    touches: ClassVar[Part] = Part.CPU
    needs: ClassVar[frozenset[Need]] = frozenset()
    disables: ClassVar[bool] = False

    target: str
    processes: int = Field(default=2, ge=1, le=64)
    hold: Seconds = Field(default=15.0, gt=0)

    async def look(self, cluster: Cluster, member: Member) -> Before:
        """Nothing: the processes carry their mark."""
        return NOTHING

    async def inject(self, cluster: Cluster, member: Member, before: Before) -> None:
        """Start them."""
        busy = ["sh", "-c", "while :; do :; done", _MARK]
        await background.start(cluster, member, _MARK, busy, self.hold + background.MARGIN_S, copies=self.processes)

    async def present(self, cluster: Cluster, member: Member, before: Before) -> bool:
        """One of them is there."""
        return await background.count(cluster, member, _MARK) > 0

    async def heal(self, cluster: Cluster, member: Member, before: Before) -> None:
        """Kill those that are there."""
        await background.end(cluster, member, _MARK)

    def remedy(self, member: Member, before: Before) -> str:
        """Kill them."""
        return background.by_hand(member, _MARK)
