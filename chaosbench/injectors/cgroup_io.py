"""The limits that a member's control group puts on a block device, read and written by a helper container.

Both versions of control groups: one file for each limit in the first, one for
all in the second. A limit of 0 stands for none in both.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from chaosbench.cluster import Cluster
from chaosbench.errors import FaultError
from chaosbench.model.cluster import Helper, Member

KEYS = ("read_bps", "write_bps", "read_iops", "write_iops")

# The major and minor number of the whole disk that a path lies on: limits are for disks, not for their partitions.
DISK = r"""
set -e
cd "$1"
numbers=$(awk -v wanted="$(stat -c %m .)" '$5 == wanted { found = $3 } END { print found }' /proc/self/mountinfo)
device=/sys/dev/block/$numbers
[ -e "$device" ] || { echo 'it is not on a block device, so there is nothing to limit'; exit 1; }
[ ! -e "$device/partition" ] || device=$device/..
cat "$device/dev"
"""

# $1: the container, $2: the disk; then NAME=VALUE limits to be written, none: to be told.
_LIMITS = r"""
root=/host-cgroup; [ ! -d $root/blkio ] || root=$root/blkio
own=$(find $root -type d -name "*$1*" | head -n 1)
[ -n "$own" ] || { echo "no control group of $1 under /sys/fs/cgroup"; exit 1; }
disk=$2; shift 2
if [ -e "$own/io.max" ]; then
    for limit; do
        short=$(echo "${limit%%=*}" | sed 's/^\(.\)[a-z]*_/\1/') value=${limit#*=}
        [ "$value" != 0 ] || value=max
        echo "$disk $short=$value" >"$own/io.max" || exit 1
    done
    sed -n "s/^$disk //p" "$own/io.max" |
        sed 's/rbps/read_bps/; s/wbps/write_bps/; s/riops/read_iops/; s/wiops/write_iops/; s/=max/=0/g'
else
    for limit; do echo "$disk ${limit#*=}" >"$own/blkio.throttle.${limit%%=*}_device" || exit 1; done
    for name in read_bps write_bps read_iops write_iops; do
        value=$(sed -n "s/^$disk //p" "$own/blkio.throttle.${name}_device")
        printf '%s=%s ' $name "${value:-0}"
    done
fi
"""
_BINDS = ("/sys/fs/cgroup:/host-cgroup",)


async def read(cluster: Cluster, member: Member, disk: str) -> dict[str, int]:
    """The limits now, by the names of :data:`KEYS`; 0 for none."""
    told = dict(word.split("=", 1) for word in (await _ask(cluster, member, disk)).split())
    return {key: int(told.get(key, 0)) for key in KEYS}


async def write(cluster: Cluster, member: Member, disk: str, limits: Mapping[str, int]) -> None:
    """Set some of the limits."""
    await _ask(cluster, member, disk, *_words(limits))


def by_hand(member: Member, disk: str, limits: Mapping[str, int]) -> str:
    """A shell command that sets all of them."""
    words = [_LIMITS.strip(), "sh", member.container_id, disk, *_words(limits)]
    return f"docker run --rm --volume {_BINDS[0]} chaosbench-tools:local sh -c {shlex.join(words)}"


async def _ask(cluster: Cluster, member: Member, disk: str, *limits: str) -> str:
    helper = Helper(("sh", "-c", _LIMITS, "sh", member.container_id, disk, *limits), binds=_BINDS)
    said = await cluster.assist(member, helper)
    if not said.ok:
        raise FaultError(f"the limits of {member.name} on {disk}: {' '.join(said.output.split())}")
    return said.output


def _words(limits: Mapping[str, int]) -> list[str]:
    return [f"{key}={value}" for key, value in limits.items()]
