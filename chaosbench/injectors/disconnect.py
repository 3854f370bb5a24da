"""``disconnect``: a member is taken off its network, as when its cable is pulled; put back after ``hold``.

Its interface vanishes, and with it the ports that are published to the host:
nobody reaches it. Docker forgets the endpoint's settings then, so they are
written down first, and it is put back with them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from chaosbench.cluster import Cluster
from chaosbench.errors import InjectionError
from chaosbench.model.cluster import Member, Role
from chaosbench.model.faults import Before, Need, Part
from chaosbench.model.scenario import STRICT
from chaosbench.units import Seconds

_SETTINGS = ("IPAMConfig", "Links", "DriverOpts")
"""What an endpoint is made with, beside its aliases. Its address is among them only where somebody chose one; else
Docker gives out the lowest that is free, which is the old one unless another container came meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Disconnect:
    """Take the target off its networks; put it back under the same names after ``hold``."""

    kind: ClassVar[str] = "disconnect"
    hits: ClassVar[frozenset[Role]] = frozenset(Role)
    touches: ClassVar[Part] = Part.ENDPOINT
    needs: ClassVar[frozenset[Need]] = frozenset()
    disables: ClassVar[bool] = True

    target: str
    hold: Seconds = Field(default=15.0, gt=0)

    async def look(self, cluster: Cluster, member: Member) -> Before:
        """The settings of its endpoint on each network. InjectionError when it is on none."""
        shown = await cluster.inspect(member)
        networks = {name: dict(endpoint) for name, endpoint in _networks(shown).items()}
        if not networks:
            raise InjectionError(f"disconnect: {member.name} is on no network now")
        return {"networks": networks}

    async def inject(self, cluster: Cluster, member: Member, before: Before) -> None:
        """Take it off."""
        for name in before["networks"]:
            await cluster.disconnect(member, name)

    async def present(self, cluster: Cluster, member: Member, before: Before) -> bool:
        """It is missing on a network, or is not known there by all its names."""
        return bool(await self._lacking(cluster, member, before))

    async def heal(self, cluster: Cluster, member: Member, before: Before) -> None:
        """Put it on those networks where it is missing; one that forgot its names gets a new endpoint."""
        for name in await self._lacking(cluster, member, before):
            if name in _networks(await cluster.inspect(member)):
                await cluster.disconnect(member, name)
            await cluster.connect(member, name, _settings(before["networks"][name], member))

    async def _lacking(self, cluster: Cluster, member: Member, before: Before) -> list[str]:
        now = _networks(await cluster.inspect(member))
        return [
            name
            for name, endpoint in before["networks"].items()
            if name not in now or not _aliases(endpoint, member) <= _aliases(now[name], member)
        ]

    def remedy(self, member: Member, before: Before) -> str:
        """Connect it by hand."""
        return " && ".join(
            f"docker network connect {_options(endpoint, member)} {name} {member.container_id[:12]}"
            for name, endpoint in before["networks"].items()
        )


def _networks(shown: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    networks: Mapping[str, Mapping[str, Any]] = shown["NetworkSettings"]["Networks"]
    return networks


def _aliases(endpoint: Mapping[str, Any], member: Member) -> frozenset[str]:
    """Without the container's own id, which Docker adds by itself."""
    return frozenset(endpoint["Aliases"] or ()) - {member.container_id[:12]}


def _settings(endpoint: Mapping[str, Any], member: Member) -> dict[str, Any]:
    """What Docker's ``connect`` takes of what its ``inspect`` told."""
    chosen = {key: endpoint[key] for key in _SETTINGS if endpoint.get(key) is not None}
    return chosen | {"Aliases": sorted(_aliases(endpoint, member))}


def _options(endpoint: Mapping[str, Any], member: Member) -> str:
    address = (endpoint.get("IPAMConfig") or {}).get("IPv4Address")
    aliases = [f"--alias {alias}" for alias in sorted(_aliases(endpoint, member))]
    return " ".join([*aliases, f"--ip {address}"] if address else aliases)
