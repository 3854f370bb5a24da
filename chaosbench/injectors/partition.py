"""``partition``: what a member and some of its peers send each other is lost, both ways or one way only.

Packets vanish as on a network that broke: no connection is closed, both sides
find out by their own time-outs.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from chaosbench.cluster import Cluster
from chaosbench.injectors import beside
from chaosbench.injectors.packets import Cut, Direction, addresses
from chaosbench.injectors.targets import Peers, peers
from chaosbench.model.cluster import Member, Role
from chaosbench.model.faults import Before, Need, Part
from chaosbench.model.scenario import STRICT
from chaosbench.units import Ratio, Seconds

Port = Annotated[int, Field(ge=1, le=65535)]


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Partition:
    """Lose what the target and its ``peers`` send each other; mend it after ``hold``."""

    kind: ClassVar[str] = "partition"
    hits: ClassVar[frozenset[Role]] = frozenset(Role)
    touches: ClassVar[Part] = Part.RULES
    needs: ClassVar[frozenset[Need]] = frozenset({Need.HELPER})
    disables: ClassVar[bool] = True

    target: str
    peers: Peers
    direction: Direction = "both"
    ports: tuple[Port, ...] = ()
    share: Ratio = Field(default=1.0, gt=0)
    hold: Seconds = Field(default=15.0, gt=0)

    async def look(self, cluster: Cluster, member: Member) -> Before:
        """Who the peers are now, and where they are reached."""
        found = peers(self.peers, await cluster.snapshot(), member)
        return {
            "token": beside.token(),
            "started": await beside.since(cluster, member),
            "peers": [peer.name for peer in found],
            "addresses": list(await addresses(cluster, found)),
        }

    async def inject(self, cluster: Cluster, member: Member, before: Before) -> None:
        """Put the rules in."""
        await beside.put(cluster, member, self._name(before), self._cut(before).change(), self.hold)

    async def present(self, cluster: Cluster, member: Member, before: Before) -> bool:
        """The rules are there."""
        return await beside.there(cluster, member, self._name(before), self._cut(before).change(), before)

    async def heal(self, cluster: Cluster, member: Member, before: Before) -> None:
        """Take the rules out."""
        await beside.take(cluster, member, self._name(before), self._cut(before).change(), before)

    def remedy(self, member: Member, before: Before) -> str:
        """Take the rules out by hand."""
        return beside.by_hand(member, self._cut(before).change())

    def _name(self, before: Before) -> str:
        return f"partition-{before['token']}"

    def _cut(self, before: Before) -> Cut:
        return Cut(
            table=f"chaosbench_{before['token']}",
            comment=f"chaosbench: {self._name(before)}",
            addresses=tuple(before["addresses"]),
            ports=self.ports,
            direction=self.direction,
            share=self.share,
        )
