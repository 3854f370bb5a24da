"""Packet filter rules for one fault: an nftables table of its own in the member's network namespace.

A table of its own cannot get into another's way and is taken away whole, by its
name; what else filters in that namespace (the engine's own rules for names, an
operator's) is never read, ordered or flushed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from chaosbench.cluster import Cluster
from chaosbench.errors import InjectionError
from chaosbench.injectors import beside
from chaosbench.injectors.beside import Change
from chaosbench.injectors.targets import peers
from chaosbench.model.cluster import Member
from chaosbench.model.faults import Before

Port = Annotated[int, Field(ge=1, le=65535)]

Direction = Literal["both", "in", "out"]
"""Seen from the member that is hit: what reaches it, what leaves it."""

_GRAIN = 10_000


@dataclass(frozen=True, slots=True)
class Cut:
    """Which packets are hit, and what happens to them.

    table:      the name of the fault's own table
    comment:    stands at the table and at every rule, for whoever finds them
    addresses:  of the other side; none means everyone
    ports:      TCP ports of the service, whichever side it is on; none means all traffic
    verdict:    as nftables has it, such as ``drop``
    share:      of the packets, at random, 0 to 1
    """

    table: str
    comment: str
    addresses: tuple[str, ...]
    ports: tuple[int, ...] = ()
    direction: Direction = "both"
    verdict: str = "drop"
    share: float = 1.0

    def change(self) -> Change:
        """As scripts. nft applies a file whole or not at all."""
        chains = "".join(
            self._chain(hook, far) for hook, far in (("input", "saddr"), ("output", "daddr")) if self._wanted(hook)
        )
        rules = f'table inet {self.table} {{\n  comment "{self.comment}"\n{chains}}}\n'
        listed = "tables=$(nft list tables)"
        return Change(
            apply=f"nft -f - <<'END'\n{rules}END",
            undo=f'{listed} && case "$tables" in *"inet {self.table}"*) nft delete table inet {self.table} ;; esac',
            shows=f'{listed} || exit 2; case "$tables" in *"inet {self.table}"*) exit 0 ;; esac; exit 1',
        )

    def _wanted(self, hook: str) -> bool:
        return self.direction == "both" or self.direction == {"input": "in", "output": "out"}[hook]

    def _chain(self, hook: str, far: str) -> str:
        """Before connection tracking and the engine's own rules: what is cut is as if it had never come."""
        rules = "".join(
            f'    {match}{self._luck}{self.verdict} comment "{self.comment}"\n' for match in self._matches(far)
        )
        return f"  chain {hook} {{\n    type filter hook {hook} priority -310; policy accept;\n{rules}  }}\n"

    @property
    def _luck(self) -> str:
        return "" if self.share >= 1 else f"numgen random mod {_GRAIN} < {round(self.share * _GRAIN)} "

    def _matches(self, far: str) -> list[str]:
        families = {"ip": [a for a in self.addresses if ":" not in a], "ip6": [a for a in self.addresses if ":" in a]}
        peers = [f"{family} {far} {_set(found)} " for family, found in families.items() if found]
        # Loopback is nobody's other side; and the engine answers the member's questions for names there.
        peers = peers or [f'{"iifname" if far == "saddr" else "oifname"} != "lo" ']
        # A reset is not answered by another, and must itself come through.
        also = "tcp flags & rst == 0 " if self.verdict.startswith("reject") else ""
        sides = [f"tcp {side} {_set(self.ports)} " for side in ("dport", "sport")] if self.ports else [""]
        return [f"{peer}{side}{also}" for peer in peers for side in sides]


def _set(values: Sequence[object]) -> str:
    return "{ " + ", ".join(map(str, values)) + " }"


async def look(cluster: Cluster, member: Member, others: str | None) -> Before:
    """Who the peers are now (the words in ``others``; None: everyone), where they are reached, and a mark.

    InjectionError when none of them has an address.
    """
    found = peers(others, await cluster.snapshot(), member) if others is not None else ()
    return {
        "token": beside.token(),
        "started": await beside.since(cluster, member),
        "peers": [peer.name for peer in found],
        "addresses": list(await _addresses(cluster, found)) if found else [],
    }


async def _addresses(cluster: Cluster, members: Sequence[Member]) -> tuple[str, ...]:
    """The members' addresses on the lab's networks."""
    found: list[str] = []
    for member in members:
        for endpoint in _endpoints(await cluster.inspect(member)):
            found += [endpoint[key] for key in ("IPAddress", "GlobalIPv6Address") if endpoint.get(key)]
    if not found:
        raise InjectionError(f"{', '.join(member.name for member in members)}: no address on any network now")
    return tuple(sorted(found))


def _endpoints(shown: Any) -> list[dict[str, Any]]:
    return list(shown["NetworkSettings"]["Networks"].values())
