"""``stop``: end a member as an operator does, SIGTERM and patience; start it again after ``hold``."""

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
class Stop(Down):
    """Stop the target's container, giving it ``grace`` to end by itself; start it again after ``hold``."""

    kind: ClassVar[str] = "stop"
    hits: ClassVar[frozenset[Role]] = frozenset(Role)
    touches: ClassVar[Part] = Part.CONTAINER
    needs: ClassVar[frozenset[Need]] = frozenset()
    disables: ClassVar[bool] = True

    target: str
    grace: Seconds = Field(default=10.0, ge=1, le=30)
    hold: Seconds = Field(default=15.0, gt=0)

    async def inject(self, cluster: Cluster, member: Member, before: Before) -> None:
        """Stop it; returns when it has ended."""
        await cluster.stop(member, self.grace)
