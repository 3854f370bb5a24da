"""``kill``: SIGKILL a member's container; start it again after ``hold``.

``docker kill`` also cancels the container's restart policy, so the container
stays down until it is started: ``hold`` is the outage of the member.
"""

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
class Kill(Down):
    """SIGKILL the target's container; start it again after ``hold``."""

    kind: ClassVar[str] = "kill"
    hits: ClassVar[frozenset[Role]] = frozenset(Role)
    touches: ClassVar[Part] = Part.CONTAINER
    needs: ClassVar[frozenset[Need]] = frozenset()
    disables: ClassVar[bool] = True

    target: str
    hold: Seconds = Field(default=15.0, gt=0)

    async def inject(self, cluster: Cluster, member: Member, before: Before) -> None:
        """Kill it."""
        await cluster.kill(member)
