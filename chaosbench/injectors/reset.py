"""``reset``: TCP connections of a member are reset, and new ones refused, until ``hold`` is over.

Unlike a partition both sides learn of it at once: those that are open are
destroyed by the kernel, and every packet after that is answered with a reset.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from chaosbench.cluster import Cluster
from chaosbench.injectors import packets
from chaosbench.injectors.beside import Change, NetworkChange
from chaosbench.injectors.packets import Cut, Port
from chaosbench.injectors.targets import Peers
from chaosbench.model.cluster import Member, Role
from chaosbench.model.faults import Before, Need, Part
from chaosbench.model.scenario import STRICT
from chaosbench.units import Seconds


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Reset(NetworkChange):
    """Reset the target's TCP connections, with its ``peers`` or with everyone, and refuse new ones for ``hold``."""

    kind: ClassVar[str] = "reset"
    hits: ClassVar[frozenset[Role]] = frozenset(Role)
    touches: ClassVar[Part] = Part.RULES
    needs: ClassVar[frozenset[Need]] = frozenset({Need.HELPER, Need.SOCKET_DESTROY})
    disables: ClassVar[bool] = True

    target: str
    peers: Peers | None = None
    ports: tuple[Port, ...] = ()
    hold: Seconds = Field(default=2.0, gt=0)

    async def look(self, cluster: Cluster, member: Member) -> Before:
        """Who the peers are now, and where they are reached."""
        return await packets.look(cluster, member, self.peers)

    def _change(self, before: Before) -> Change:
        """Refuse what comes from now on, then destroy what is open; that is made anew by those who want it."""
        rules = Cut(
            table=f"chaosbench_{before['token']}",
            comment=f"chaosbench: {self._name(before)}",
            addresses=tuple(before["addresses"]),
            ports=self.ports,
            verdict="reject with tcp reset",
        ).change()
        destroy = f"ss --kill --tcp --no-header state connected '{self._filter(before)}' >/dev/null"
        return Change(apply=f"{rules.apply}\n[ $? -eq 0 ] && {destroy}", undo=rules.undo, shows=rules.shows)

    def _filter(self, before: Before) -> str:
        """As ``ss`` has it. Loopback is nobody's other side."""
        peers = " or ".join(f"dst {_host(address)}" for address in before["addresses"])
        where = f"( {peers} )" if peers else "not dst 127.0.0.0/8"
        sides = " or ".join(f"sport = :{port} or dport = :{port}" for port in self.ports)
        return f"{where} and ( {sides} )" if sides else where


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address
