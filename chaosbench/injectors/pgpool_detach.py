"""``pgpool-detach``: Pgpool is told to take a backend out, as a mistaken operator, or its own health check, would.

The lab's reconciler sees that Pgpool and Patroni disagree and attaches the
backend again within seconds, whatever ``hold`` says: then the fault is told as
lost, and how long that took is what there is to measure. A cluster without such a
cure keeps the backend out until it is healed.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from chaosbench.cluster import Cluster
from chaosbench.errors import FaultError, InjectionError
from chaosbench.injectors.sql import POSTGRES
from chaosbench.model.cluster import Member, Role, RunState, Snapshot
from chaosbench.model.faults import Before, Need, Part
from chaosbench.model.scenario import STRICT
from chaosbench.units import Seconds

# $1: pcp_detach_node or pcp_attach_node, or pcp_node_info for all rows; then its arguments.
_PCP = """
set -e
file=$(mktemp)
trap 'rm -f "$file"' EXIT
printf '*:*:pcp:%s\\n' "$(cat /run/pgpool/pcp_password)" >"$file"
command=$1; shift
PCPPASSFILE=$file "$command" -h /run/pgpool -p 9898 -U pcp -w "$@"
"""
_DOWN = "down"


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class PgpoolDetach:
    """Detach a backend from the target; attach it again after ``hold`` if nobody has done so."""

    kind: ClassVar[str] = "pgpool-detach"
    hits: ClassVar[frozenset[Role]] = frozenset({Role.PGPOOL})
    touches: ClassVar[Part] = Part.SETTINGS
    needs: ClassVar[frozenset[Need]] = frozenset()
    disables: ClassVar[bool] = False

    target: str = "pgpool"
    backend: str = Field(default="replica", min_length=1)
    hold: Seconds = Field(default=15.0, gt=0)

    async def look(self, cluster: Cluster, member: Member) -> Before:
        """The backend's number. InjectionError when Pgpool does not have it, or has it down already."""
        backend = self._named(await cluster.snapshot())
        rows = await self._rows(cluster, member)
        for number, (host, status) in enumerate(rows):
            if host == backend:
                if status == _DOWN:
                    raise InjectionError(f"pgpool-detach: {member.name} has {backend} down already")
                return {"backend": backend, "number": number}
        raise InjectionError(f"pgpool-detach: {member.name} has no backend {backend!r}")

    def _named(self, snapshot: Snapshot) -> str:
        roles = {"leader": snapshot.leaders, "replica": snapshot.replicas}
        if self.backend not in roles:
            return self.backend
        if not roles[self.backend]:
            raise InjectionError(f"pgpool-detach: there is no {self.backend} now")
        return roles[self.backend][0].name

    async def inject(self, cluster: Cluster, member: Member, before: Before) -> None:
        """Detach it."""
        await self._pcp(cluster, member, "pcp_detach_node", "-n", str(before["number"]))

    async def present(self, cluster: Cluster, member: Member, before: Before) -> bool:
        """Pgpool has it down."""
        if await cluster.state(member) is not RunState.RUNNING:
            return False  # a new Pgpool begins with every backend up
        return (await self._rows(cluster, member))[before["number"]][1] == _DOWN

    async def heal(self, cluster: Cluster, member: Member, before: Before) -> None:
        """Attach it if it is down."""
        if await self.present(cluster, member, before):
            await self._pcp(cluster, member, "pcp_attach_node", "-n", str(before["number"]))

    def remedy(self, member: Member, before: Before) -> str:
        """Attach it."""
        words = f"pcp_attach_node -h /run/pgpool -p 9898 -U pcp -n {before['number']}"
        return (
            f"docker exec -it {member.container_id[:12]} {words}  # the password is in /run/pgpool/pcp_password there"
        )

    async def _rows(self, cluster: Cluster, member: Member) -> list[tuple[str, str]]:
        """Each backend's host and status, in the order of their numbers."""
        told = [line.split() for line in (await self._pcp(cluster, member, "pcp_node_info", "-a")).splitlines()]
        return [(words[0], words[4]) for words in told if len(words) > 4]

    async def _pcp(self, cluster: Cluster, member: Member, *words: str) -> str:
        said = await cluster.execute(member, ["sh", "-c", _PCP, "sh", *words], user=POSTGRES)
        if not said.ok:
            raise FaultError(f"{words[0]} on {member.name}: {' '.join(said.output.split())}")
        return said.output
