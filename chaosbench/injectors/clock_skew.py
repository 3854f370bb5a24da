"""``clock-skew``: a member's clock is wrong by a fixed amount, ahead or behind.

Containers share the kernel's clock, so the member's processes must take their
time from libfaketime, which reads the offset from a file and looks at it again
every second. Only the wall clock is shifted: time-outs run on the monotonic one.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import BeforeValidator, Field
from pydantic.dataclasses import dataclass

from chaosbench.cluster import Cluster
from chaosbench.errors import FaultError, InjectionError
from chaosbench.model.cluster import Member, Role, RunState
from chaosbench.model.faults import Before, Need, Part
from chaosbench.model.scenario import STRICT
from chaosbench.units import Seconds, or_stored, parse_duration

_FILE = "/dev/shm/chaosbench-clock"  # noqa: S108 - inside the container
"""Where ``compose.clock.yaml`` has libfaketime look."""

_READ = f"[ ! -e {_FILE} ] || cat {_FILE}"
_WRITE = f'if [ -n "$1" ]; then printf "%s\\n" "$1" >{_FILE}; else rm -f {_FILE}; fi'


def _offset(value: object) -> float:
    text = str(value).strip()
    sign = -1.0 if text.startswith("-") else 1.0
    seconds = sign * parse_duration(text.lstrip("+-"))
    if not seconds:
        raise ValueError("an offset of 0 is no fault: write how wrong the clock is to be, as in 30s or -5m")
    return seconds


Offset = Annotated[float, BeforeValidator(or_stored(_offset))]
"""Seconds ahead; negative: behind."""


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class ClockSkew:
    """Set the target's wall clock ``offset`` ahead, or behind when negative, until ``hold`` is over."""

    kind: ClassVar[str] = "clock-skew"
    hits: ClassVar[frozenset[Role]] = frozenset({Role.POSTGRES})
    touches: ClassVar[Part] = Part.CLOCK
    needs: ClassVar[frozenset[Need]] = frozenset({Need.OWN_CLOCK})
    disables: ClassVar[bool] = False

    target: str
    offset: Offset
    hold: Seconds = Field(default=15.0, gt=0)

    async def look(self, cluster: Cluster, member: Member) -> Before:
        """The offset now, as it stands in the file; "" when there is none."""
        return {"offset": await self._read(cluster, member)}

    async def inject(self, cluster: Cluster, member: Member, before: Before) -> None:
        """Write the offset; it is heeded within a second."""
        await self._write(cluster, member, f"{self.offset:+g}")
        if await self._read(cluster, member) != f"{self.offset:+g}":
            raise InjectionError(f"clock-skew: the offset of {member.name} did not take")

    async def present(self, cluster: Cluster, member: Member, before: Before) -> bool:
        """The offset is not the one from before."""
        if await cluster.state(member) is not RunState.RUNNING:
            return False  # the file lies in memory, and ends with the container
        return bool(await self._read(cluster, member) != before["offset"])

    async def heal(self, cluster: Cluster, member: Member, before: Before) -> None:
        """Put the file back as it was."""
        if await self.present(cluster, member, before):
            await self._write(cluster, member, before["offset"])

    def remedy(self, member: Member, before: Before) -> str:
        """Put the file back."""
        return f"docker exec -u 0 {member.container_id[:12]} sh -c '{_WRITE}' sh '{before['offset']}'"

    async def _read(self, cluster: Cluster, member: Member) -> str:
        return await self._run(cluster, member, _READ)

    async def _write(self, cluster: Cluster, member: Member, offset: str) -> None:
        await self._run(cluster, member, _WRITE, offset)

    async def _run(self, cluster: Cluster, member: Member, script: str, *words: str) -> str:
        said = await cluster.execute(member, ["sh", "-c", script, "sh", *words], user="0")
        if not said.ok:
            raise FaultError(f"the clock of {member.name}: {' '.join(said.output.split())}")
        return said.output.strip()
