"""``slow-fsync``: every fsync and fdatasync of a member's PostgreSQL takes longer, by strace's fault injection.

A helper container in the member's process namespace traces every process of the
server and delays each such call before the kernel sees it; new backends are
followed. What is traced costs more than the delay: each system call of a traced
process stops twice (docs/injectors/slow-fsync.md has the figures). A tracer that is killed
leaves its processes running.
"""

from __future__ import annotations

import asyncio
from typing import ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from chaosbench.cluster import Cluster
from chaosbench.errors import InjectionError
from chaosbench.injectors.background import MARGIN_S
from chaosbench.model.cluster import Helper, Member, Role, RunState
from chaosbench.model.faults import Before, Need, Part
from chaosbench.model.scenario import STRICT
from chaosbench.units import Seconds

_CAPABILITIES = ("SYS_PTRACE",)

# The server's processes are the postmaster and its children, whatever else runs in the container.
_TRACE = """
server=$(pgrep -o -x postgres) || { echo 'no postgres process'; exit 3; }
set -- -p "$server"
for one in $(pgrep -P "$server"); do set -- "$@" -p "$one"; done
exec timeout -k 1 "$CHAOSBENCH_LIFETIME" strace -f -qq -o /dev/null \
    -e trace=fsync,fdatasync -e signal=none -e inject=fsync,fdatasync:delay_enter=DELAY "$@"
"""
_TRACED = "grep -q '^TracerPid:[[:space:]]*[1-9]' /proc/$(pgrep -o -x postgres)/status"


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class SlowFsync:
    """Delay every fsync of the target's PostgreSQL by ``delay`` until ``hold`` is over."""

    kind: ClassVar[str] = "slow-fsync"
    hits: ClassVar[frozenset[Role]] = frozenset({Role.POSTGRES})
    touches: ClassVar[Part] = Part.IO
    needs: ClassVar[frozenset[Need]] = frozenset({Need.PTRACE})
    disables: ClassVar[bool] = False

    target: str
    delay: Seconds = Field(default=0.05, gt=0, le=60)
    hold: Seconds = Field(default=15.0, gt=0)

    async def look(self, cluster: Cluster, member: Member) -> Before:
        """The tracer's name. InjectionError when something traces the server already: the kernel allows one."""
        if await self._traced(cluster, member):
            raise InjectionError(f"slow-fsync: PostgreSQL in {member.name} is traced by something else already")
        return {"helper": f"slow-fsync-{member.name}"}

    async def inject(self, cluster: Cluster, member: Member, before: Before) -> None:
        """Station the tracer; returns when it has the server."""
        script = _TRACE.replace("DELAY", f"{self.delay * 1e6:.0f}us")
        helper = Helper(("sh", "-c", script), pid=True, capabilities=_CAPABILITIES)
        await cluster.station(member, helper, before["helper"], self.hold + MARGIN_S)
        for _ in range(30):
            if await self._traced(cluster, member):
                return
            await asyncio.sleep(0.2)
        raise InjectionError(f"slow-fsync: the tracer does not get hold of PostgreSQL in {member.name}")

    async def present(self, cluster: Cluster, member: Member, before: Before) -> bool:
        """The server is traced."""
        return await self._traced(cluster, member)

    async def heal(self, cluster: Cluster, member: Member, before: Before) -> None:
        """Send the tracer away, which lets go of the server."""
        await cluster.dismiss(before["helper"])

    def remedy(self, member: Member, before: Before) -> str:
        """Remove the tracer."""
        return f"docker rm --force $(docker ps --quiet --filter name={before['helper']})"

    async def _traced(self, cluster: Cluster, member: Member) -> bool:
        if await cluster.state(member) is not RunState.RUNNING:
            return False
        return (await cluster.execute(member, ["sh", "-c", _TRACED])).ok
