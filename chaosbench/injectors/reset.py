"""``reset``: TCP connections of a member are reset, and new ones refused, until ``hold`` is over.

Unlike a partition both sides learn of it at once: those that are open are
destroyed by the kernel, and every packet after that is answered with a reset.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from chaosbench.cluster import Cluster
from chaosbench.injectors import beside
from chaosbench.injectors.packets import Cut, addresses
from chaosbench.injectors.partition import Port
from chaosbench.injectors.targets import Peers, peers
from chaosbench.model.cluster import Member, Role
from chaosbench.model.faults import Before, Need, Part
from chaosbench.model.scenario import STRICT
from chaosbench.units import Seconds


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Reset:
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
        found = peers(self.peers, await cluster.snapshot(), member) if self.peers is not None else ()
        return {
            "token": beside.token(),
            "started": await beside.since(cluster, member),
            "peers": [peer.name for peer in found],
            "addresses": list(await addresses(cluster, found)) if found else [],
        }

    async def inject(self, cluster: Cluster, member: Member, before: Before) -> None:
        """Refuse what comes from now on, then destroy what is open."""
        await beside.put(cluster, member, self._name(before), self._change(before), self.hold)

    async def present(self, cluster: Cluster, member: Member, before: Before) -> bool:
        """The rules are there."""
        return await beside.there(cluster, member, self._name(before), self._change(before), before)

    async def heal(self, cluster: Cluster, member: Member, before: Before) -> None:
        """Take the rules out; the connections are made anew by those who want them."""
        await beside.take(cluster, member, self._name(before), self._change(before), before)

    def remedy(self, member: Member, before: Before) -> str:
        """Take the rules out by hand."""
        return beside.by_hand(member, self._change(before))

    def _name(self, before: Before) -> str:
        return f"reset-{before['token']}"

    def _change(self, before: Before) -> beside.Change:
        rules = Cut(
            table=f"chaosbench_{before['token']}",
            comment=f"chaosbench: {self._name(before)}",
            addresses=tuple(before["addresses"]),
            ports=self.ports,
            verdict="reject with tcp reset",
        ).change()
        destroy = f"ss --kill --tcp --no-header state connected '{self._filter(before)}' >/dev/null"
        return beside.Change(apply=f"{rules.apply}\n[ $? -eq 0 ] && {destroy}", undo=rules.undo, shows=rules.shows)

    def _filter(self, before: Before) -> str:
        """As ``ss`` has it. Loopback is nobody's other side."""
        peers = " or ".join(f"dst {_host(address)}" for address in before["addresses"])
        where = f"( {peers} )" if peers else "not dst 127.0.0.0/8"
        sides = " or ".join(f"sport = :{port} or dport = :{port}" for port in self.ports)
        return f"{where} and ( {sides} )" if sides else where


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address
