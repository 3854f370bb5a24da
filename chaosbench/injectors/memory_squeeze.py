"""``memory-squeeze``: a member gets less memory than it is used to, by its container's limit.

The kernel first takes the page cache away, which is felt as reads from the
disk; then it looks for a process to kill.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from chaosbench.cluster import Cluster
from chaosbench.errors import FaultError, InjectionError
from chaosbench.model.cluster import Member, Role
from chaosbench.model.faults import Before, Need, Part
from chaosbench.model.scenario import STRICT
from chaosbench.units import Seconds, Size

_MEMORY, _SWAP = "Memory", "MemorySwap"
_LEAST = 6 * 1024**2  # the engine takes no lower limit
_USAGE = "cat /sys/fs/cgroup/memory/memory.usage_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.current"


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class MemorySqueeze:
    """Lower the target's memory limit to ``to``, or to a ``share`` of what it uses, until ``hold`` is over."""

    kind: ClassVar[str] = "memory-squeeze"
    hits: ClassVar[frozenset[Role]] = frozenset(Role)
    touches: ClassVar[Part] = Part.MEMORY
    needs: ClassVar[frozenset[Need]] = frozenset()
    disables: ClassVar[bool] = True

    target: str
    to: Size | None = None
    share: float | None = Field(default=None, gt=0, le=2)
    hold: Seconds = Field(default=15.0, gt=0)

    def __post_init__(self) -> None:
        """One way to say how much. With neither, half of what is used."""
        if self.to is not None and self.share is not None:
            raise ValueError("write either 'to' or 'share', not both")

    async def look(self, cluster: Cluster, member: Member) -> Before:
        """Its limits, and the one that it is to get. InjectionError where no lower one is possible."""
        host = (await cluster.inspect(member))["HostConfig"]
        memory, swap = host.get(_MEMORY) or 0, host.get(_SWAP) or 0
        if not memory:
            raise InjectionError(
                f"memory-squeeze: {member.name} has no memory limit, and the engine cannot take a limit away again: "
                "give it one (mem_limit) in the lab's settings"
            )
        wanted = self.to or round((self.share or 0.5) * await self._used(cluster, member))
        if not _LEAST <= wanted < memory:
            raise InjectionError(
                f"memory-squeeze: {member.name} has a limit of {memory} bytes and would get {wanted}; "
                f"the new limit must be lower, and at least {_LEAST}"
            )
        return {_MEMORY: memory, _SWAP: swap, "wanted": wanted}

    async def _used(self, cluster: Cluster, member: Member) -> int:
        said = await cluster.execute(member, ["sh", "-c", _USAGE])
        if not said.ok:
            raise InjectionError(f"memory-squeeze: {member.name} does not tell what it uses: write 'to' instead")
        return int(said.output)

    async def inject(self, cluster: Cluster, member: Member, before: Before) -> None:
        """Lower the limit. InjectionError where the kernel cannot reclaim so much: nothing is changed then."""
        wanted = before["wanted"]
        try:
            await cluster.limit(member, {_MEMORY: wanted, _SWAP: wanted})
        except FaultError as error:
            raise InjectionError(
                f"memory-squeeze: {member.name} cannot do with {wanted} bytes now, so the kernel refuses the limit: "
                f"write more ({error})"
            ) from error

    async def present(self, cluster: Cluster, member: Member, before: Before) -> bool:
        """A limit is not the one from before."""
        host = (await cluster.inspect(member))["HostConfig"]
        return bool((host[_MEMORY], host[_SWAP]) != (before[_MEMORY], before[_SWAP]))

    async def heal(self, cluster: Cluster, member: Member, before: Before) -> None:
        """Put both limits back."""
        if await self.present(cluster, member, before):
            await cluster.limit(member, {_MEMORY: before[_MEMORY], _SWAP: before[_SWAP]})

    def remedy(self, member: Member, before: Before) -> str:
        """Put both limits back."""
        return f"docker update --memory {before[_MEMORY]} --memory-swap {before[_SWAP]} {member.container_id[:12]}"
