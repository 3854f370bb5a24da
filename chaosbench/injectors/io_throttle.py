"""``io-throttle``: a member's reads and writes of its disk are limited, by its control group.

The engine cannot change these limits on a running container, so a helper writes
them into the control group itself. With version 1 of control groups the kernel
limits only what a process does itself: reads, direct writes, and the writing that
an fsync waits for, which is what a database is slowed down by; what the kernel
writes back later on its own is not limited.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from chaosbench.cluster import Cluster
from chaosbench.errors import FaultError, InjectionError
from chaosbench.injectors import cgroup_io
from chaosbench.injectors.cgroup_io import KEYS
from chaosbench.model.cluster import Member, Role, RunState
from chaosbench.model.faults import Before, Need, Part
from chaosbench.model.scenario import STRICT
from chaosbench.units import Rate, Seconds, Throughput

_USUAL = {"write_bps": 1024**2}


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class IoThrottle:
    """Limit what the target reads from and writes to the disk of ``path``, in bytes or operations a second."""

    kind: ClassVar[str] = "io-throttle"
    hits: ClassVar[frozenset[Role]] = frozenset(Role)
    touches: ClassVar[Part] = Part.IO
    needs: ClassVar[frozenset[Need]] = frozenset({Need.CGROUP_IO})
    disables: ClassVar[bool] = False

    target: str
    path: str = Field(default="/data", pattern=r"^/[A-Za-z0-9._/-]*$")
    read: Throughput | None = None
    write: Throughput | None = None
    read_operations: Rate | None = None
    write_operations: Rate | None = None
    hold: Seconds = Field(default=15.0, gt=0)

    async def look(self, cluster: Cluster, member: Member) -> Before:
        """The disk of the path, and the limits that it has for this member now."""
        said = await cluster.execute(member, ["sh", "-c", cgroup_io.DISK, "sh", self.path], user="0")
        if not said.ok:
            raise InjectionError(f"io-throttle: {self.path} of {member.name}: {said.output.strip()}")
        disk = said.output.strip()
        return {"disk": disk, "limits": await cgroup_io.read(cluster, member, disk)}

    async def inject(self, cluster: Cluster, member: Member, before: Before) -> None:
        """Set the limits that are wanted; the others stay."""
        await cgroup_io.write(cluster, member, before["disk"], self._limits)

    async def present(self, cluster: Cluster, member: Member, before: Before) -> bool:
        """A limit is not the one from before."""
        if await cluster.state(member) not in (RunState.RUNNING, RunState.PAUSED):
            return False  # its control group ended with it
        return bool(await cgroup_io.read(cluster, member, before["disk"]) != before["limits"])

    async def heal(self, cluster: Cluster, member: Member, before: Before) -> None:
        """Put the limits back that are not as before."""
        if not await self.present(cluster, member, before):
            return
        now = await cgroup_io.read(cluster, member, before["disk"])
        other = {key: value for key, value in before["limits"].items() if now[key] != value}
        await cgroup_io.write(cluster, member, before["disk"], other)
        if await cgroup_io.read(cluster, member, before["disk"]) != before["limits"]:
            raise FaultError(f"the limits of {member.name} did not take")

    def remedy(self, member: Member, before: Before) -> str:
        """Put the limits back."""
        return cgroup_io.by_hand(member, before["disk"], before["limits"])

    @property
    def _limits(self) -> dict[str, int]:
        """Those that are written, or else one on writing."""
        wanted = (self.read, self.write, self.read_operations, self.write_operations)
        limits = {key: max(1, round(value)) for key, value in zip(KEYS, wanted, strict=True) if value is not None}
        return limits or _USUAL
