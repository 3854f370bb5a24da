"""``cpu-quota``: a member gets less processor time than it is used to, by its container's limit."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from chaosbench.cluster import Cluster
from chaosbench.errors import InjectionError
from chaosbench.model.cluster import Member, Role
from chaosbench.model.faults import Before, Need, Part
from chaosbench.model.scenario import STRICT
from chaosbench.units import Seconds

_NANO = "NanoCpus"
_NANO_PER_CPU = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class CpuQuota:
    """Give the target's container ``cpus`` processors' worth of time until ``hold`` is over."""

    kind: ClassVar[str] = "cpu-quota"
    hits: ClassVar[frozenset[Role]] = frozenset(Role)
    touches: ClassVar[Part] = Part.CPU
    needs: ClassVar[frozenset[Need]] = frozenset()
    disables: ClassVar[bool] = False

    target: str
    cpus: float = Field(ge=0.01, le=1024)
    hold: Seconds = Field(default=15.0, gt=0)

    async def look(self, cluster: Cluster, member: Member) -> Before:
        """Its limit. InjectionError for one that has none: the engine would have no way back to that."""
        nano = (await cluster.inspect(member))["HostConfig"].get(_NANO) or 0
        if not nano:
            raise InjectionError(
                f"cpu-quota: {member.name} has no processor limit, and the engine cannot take a limit away again "
                "from a running container: give it one (cpus) in the lab's settings, as large as the machine"
            )
        if self._nano >= nano:
            raise InjectionError(f"cpu-quota: {member.name} has {nano / _NANO_PER_CPU:g} cpus already; write less")
        return {_NANO: nano}

    async def inject(self, cluster: Cluster, member: Member, before: Before) -> None:
        """Lower the limit, in the one way in which it was given: the engine refuses a mixture of the two."""
        await cluster.limit(member, {_NANO: self._nano})

    async def present(self, cluster: Cluster, member: Member, before: Before) -> bool:
        """The limit is not the one from before."""
        return bool((await cluster.inspect(member))["HostConfig"][_NANO] != before[_NANO])

    async def heal(self, cluster: Cluster, member: Member, before: Before) -> None:
        """Put the limit back; also on a container that does not run, which keeps it for its next start."""
        if await self.present(cluster, member, before):
            await cluster.limit(member, {_NANO: before[_NANO]})

    def remedy(self, member: Member, before: Before) -> str:
        """Put the limit back."""
        return f"docker update --cpus {before[_NANO] / _NANO_PER_CPU:g} {member.container_id[:12]}"

    @property
    def _nano(self) -> int:
        return round(self.cpus * _NANO_PER_CPU)
