"""Faults that fill a file system inside a member up to a share of its size.

Never one that is shared with the host, or with other members: filling that would
hit everything on the machine. A part of what is filled is a reserve, which is
freed first, so that healing has room to work with.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from chaosbench.cluster import Cluster
from chaosbench.errors import FaultError, InjectionError
from chaosbench.model.cluster import Member, RunState
from chaosbench.model.faults import Before

_FILL, _RESERVE = ".chaosbench-fill", ".chaosbench-reserve"
_RESERVE_SHARE = 16

# $1: the path. Says where its file system is mounted, and whether it is the container's own: neither the one on which
# the engine keeps the container's own files (/etc/hosts is such a file in every container), nor a directory of another.
_WHERE = r"""
cd "$1" || exit 1
kind=own mount=$(stat -c %m .)
[ "$(stat -c %d .)" != "$(stat -c %d /etc/hosts)" ] && [ "$(stat -f -c %T .)" != overlayfs ] || kind=shared
root=$(awk -v wanted="$mount" '$5 == wanted { found = $4 } END { print found }' /proc/self/mountinfo)
[ "$root" = / ] || kind=shared
echo "$kind $mount $(stat -f -c '%b %a %S' .)"
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


class Filling(ABC):
    """All verbs of such a fault."""

    __slots__ = ()

    kind: ClassVar[str]

    @property
    @abstractmethod
    def path(self) -> str:
        """A directory inside the member, on the file system that is meant."""

    @property
    @abstractmethod
    def share(self) -> float:
        """How full it is to be, up to 1."""

    async def look(self, cluster: Cluster, member: Member) -> Before:
        """Nothing to remember but where; InjectionError where it may not be filled, or is full already."""
        said = await cluster.execute(member, ["sh", "-c", _WHERE, "sh", self.path], user="0")
        if not said.ok:
            raise InjectionError(f"{self.kind}: {self.path} of {member.name}: {' '.join(said.output.split())}")
        kind, mount, blocks, free, _ = said.output.split()
        if kind != "own" or not _private(mount, await cluster.inspect(member)):
            raise InjectionError(
                f"{self.kind}: {self.path} of {member.name} lies on a file system that it shares with the host"
            )
        if int(free) <= (1 - self.share) * int(blocks):
            raise InjectionError(f"{self.kind}: {self.path} of {member.name} is fuller than {self.share:.0%} already")
        return {"mount": mount}

    async def inject(self, cluster: Cluster, member: Member, before: Before) -> None:
        """Make the two files, the reserve first."""
        mount = before["mount"]
        size = (await cluster.execute(member, ["sh", "-c", _WHERE, "sh", mount], user="0")).output.split()
        reserve = int(size[3]) * int(size[4]) // _RESERVE_SHARE
        share = f"{self.share * 1000:.0f}"
        filled = await cluster.execute(member, ["sh", "-c", _FILL_UP, "sh", mount, str(reserve), share], user="0")
        if not filled.ok:
            raise InjectionError(f"{self.kind}: {mount} of {member.name}: {' '.join(filled.output.split())}")

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
