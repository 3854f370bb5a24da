"""``restart``: stop a member's container and start it again at once, as a maintenance or an update does."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from chaosbench.cluster import Cluster
from chaosbench.injectors.down import Down
from chaosbench.model.cluster import Member, Role
from chaosbench.model.faults import Before, Need, Part
from chaosbench.model.scenario import STRICT
from chaosbench.units import Seconds


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Restart(Down):
    """Stop the target's container, giving it ``grace`` to end by itself, and start it again at once."""

    kind: ClassVar[str] = "restart"
    hits: ClassVar[frozenset[Role]] = frozenset(Role)
    touches: ClassVar[Part] = Part.CONTAINER
    needs: ClassVar[frozenset[Need]] = frozenset()
    disables: ClassVar[bool] = True
    hold: ClassVar[float] = 0.0

    target: str
    grace: Seconds = Field(default=10.0, ge=1, le=30)

    async def inject(self, cluster: Cluster, member: Member, before: Before) -> None:
        """Restart it; returns when its container runs again, which is before its service does."""
        await cluster.restart(member, self.grace)
