"""``partition``: what a member and some of its peers send each other is lost, both ways or one way only.

Packets vanish as on a network that broke: no connection is closed, both sides
find out by their own time-outs.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from chaosbench.cluster import Cluster
from chaosbench.injectors import packets
from chaosbench.injectors.beside import Change, NetworkChange
from chaosbench.injectors.packets import Cut, Direction, Port
from chaosbench.injectors.targets import Peers
from chaosbench.model.cluster import Member, Role
from chaosbench.model.faults import Before, Need, Part
from chaosbench.model.scenario import STRICT
from chaosbench.units import Ratio, Seconds


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Partition(NetworkChange):
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
        return await packets.look(cluster, member, self.peers)

    def _change(self, before: Before) -> Change:
        return Cut(
            table=f"chaosbench_{before['token']}",
            comment=f"chaosbench: {self._name(before)}",
            addresses=tuple(before["addresses"]),
            ports=self.ports,
            direction=self.direction,
            share=self.share,
        ).change()
