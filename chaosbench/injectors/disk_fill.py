"""``disk-fill``: the file system of a path inside a member is filled up to a share of its size.

Never one that is shared with the host, or with other members: filling that would
hit everything on the machine. A part of what is filled is a reserve, which is
freed first, so that healing has room to work with.
"""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from chaosbench.cluster import Cluster
from chaosbench.errors import FaultError, InjectionError
from chaosbench.model.cluster import Member, Role, RunState
from chaosbench.model.faults import Before, Need, Part
from chaosbench.model.scenario import STRICT
from chaosbench.units import Ratio, Seconds

_FILL, _RESERVE = ".chaosbench-fill", ".chaosbench-reserve"
_RESERVE_SHARE = 16

# $1: the path. Says where its file system is mounted, and whether it is the one on which the engine keeps the
# container's own files: /etc/hosts is such a file in every container.
_WHERE = r"""
cd "$1" || exit 1
kind=own
[ "$(stat -c %d .)" != "$(stat -c %d /etc/hosts)" ] && [ "$(stat -f -c %T .)" != overlayfs ] || kind=shared
echo "$kind $(stat -c %m .) $(stat -f -c '%b %a %S' .)"
"""
# $1: the path, $2: bytes of the reserve, $3: the share in thousandths. Filled up to the share of all blocks, or until
# nothing is free for ordinary users.
_FILL_UP = rf"""
cd "$1" && fallocate -l "$2" {_RESERVE} || exit 1
thousandths=$3
set -- $(stat -f -c '%b %a %S' .)
wanted=$(( ($2 - $1 * (1000 - thousandths) / 1000) * $3 ))
[ "$wanted" -le 0 ] || fallocate -l "$wanted" {_FILL}
"""


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class DiskFill:
    """Fill the file system of ``path`` in the target up to ``share`` of its size until ``hold`` is over."""

    kind: ClassVar[str] = "disk-fill"
    hits: ClassVar[frozenset[Role]] = frozenset(Role)
    touches: ClassVar[Part] = Part.DISK
    needs: ClassVar[frozenset[Need]] = frozenset()
    disables: ClassVar[bool] = True

    target: str
    path: str = Field(default="/dev/shm", pattern=r"^/[A-Za-z0-9._/-]*$")  # noqa: S108 - inside the member's container
    share: Ratio = 1.0
    hold: Seconds = Field(default=15.0, gt=0)

    async def look(self, cluster: Cluster, member: Member) -> Before:
        """Nothing to remember but where; InjectionError where it may not be filled, or is full already."""
        said = await cluster.execute(member, ["sh", "-c", _WHERE, "sh", self.path], user="0")
        if not said.ok:
            raise InjectionError(f"disk-fill: {self.path} of {member.name}: {' '.join(said.output.split())}")
        kind, mount, blocks, free, _ = said.output.split()
        if kind != "own" or not _private(mount, await cluster.inspect(member)):
            raise InjectionError(
                f"disk-fill: {self.path} of {member.name} lies on a file system that it shares with the host; "
                "name a path on one of its own, as /dev/shm"
            )
        if int(free) <= (1 - self.share) * int(blocks):
            raise InjectionError(f"disk-fill: {self.path} of {member.name} is fuller than {self.share:.0%} already")
        return {"mount": mount}

    async def inject(self, cluster: Cluster, member: Member, before: Before) -> None:
        """Make the two files, the reserve first."""
        mount = before["mount"]
        size = (await cluster.execute(member, ["sh", "-c", _WHERE, "sh", mount], user="0")).output.split()
        reserve = int(size[3]) * int(size[4]) // _RESERVE_SHARE
        share = f"{self.share * 1000:.0f}"
        filled = await cluster.execute(member, ["sh", "-c", _FILL_UP, "sh", mount, str(reserve), share], user="0")
        if not filled.ok:
            raise InjectionError(f"disk-fill: {mount} of {member.name}: {' '.join(filled.output.split())}")

    async def present(self, cluster: Cluster, member: Member, before: Before) -> bool:
        """One of the files is there."""
        if await cluster.state(member) is not RunState.RUNNING:
            return False
        names = " -o ".join(f"-e {before['mount']}/{name}" for name in (_FILL, _RESERVE))
        return (await cluster.execute(member, ["sh", "-c", f"[ {names} ]"], user="0")).ok

    async def heal(self, cluster: Cluster, member: Member, before: Before) -> None:
        """Remove the reserve, then the rest. A container that was restarted meanwhile may still have them."""
        if await cluster.state(member) is not RunState.RUNNING:
            raise FaultError(f"{member.name} does not run, so its files cannot be removed yet")
        removed = await cluster.execute(member, ["rm", "-f", *self._files(before)], user="0")
        if not removed.ok:
            raise FaultError(f"{before['mount']} of {member.name}: {removed.output.strip()}")

    def remedy(self, member: Member, before: Before) -> str:
        """Remove both files."""
        return f"docker exec -u 0 {member.container_id[:12]} rm -f {' '.join(self._files(before))}"

    @staticmethod
    def _files(before: Before) -> list[str]:
        return [f"{before['mount']}/{name}" for name in (_RESERVE, _FILL)]


def _private(mount: str, shown: Any) -> bool:
    """Whether the engine made this mount for the container, as opposed to handing in a directory of the host."""
    if mount == "/dev/shm":  # noqa: S108
        return not str(shown["HostConfig"].get("IpcMode", "")).startswith(("host", "container:"))
    if mount in (shown["HostConfig"].get("Tmpfs") or {}):
        return True
    return any(m["Destination"] == mount and m["Type"] in ("volume", "tmpfs") for m in shown.get("Mounts") or ())
