"""What this machine and this lab can do, found out by doing it.

The machine's half is one throwaway helper container with namespaces of its own,
in which every kernel feature is tried; the lab's half is asked of the members.
Each is done once, when the first need of it is looked at.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from chaosbench.cluster import Cluster
from chaosbench.cluster.helpers import IMAGE, Helpers
from chaosbench.errors import FaultError
from chaosbench.model.cluster import Helper, Member, Role, RunState
from chaosbench.model.faults import Need

_PROBE_S = 15.0
_ETCD_QUORUM = 3

# Each line is a need and what was said when it was tried; nothing after the tab means that it works. A socket must be
# there to be destroyed: perl, which every Debian image has, listens for a moment.
_TRIALS = r"""
try() {
    need=$1; shift
    if said=$("$@" 2>&1); then said=; else said=${said:-"$1 failed"}; fi
    printf '%s\t%s\n' "$need" "$(printf %s "$said" | tr '\n\t' '; ')"
}
rules() {
    nft -f - <<'END' && nft delete table inet probe
table inet probe {
    chain input {
        type filter hook input priority -310
        numgen random mod 10 < 1 drop
        tcp dport 1 reject with tcp reset
    }
}
END
}
discipline() { tc qdisc add dev lo root "$@" && tc qdisc del dev lo root; }
sockets() {
    listen='$s = IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1", LocalPort => 9) and sleep 5'
    perl -MIO::Socket::INET -e "$listen" & listener=$!
    tries=0
    until [ -n "$(ss -Htln 'sport = :9')" ]; do
        tries=$((tries + 1)); [ $tries -lt 50 ] || { echo 'nothing to try it on'; return 1; }
        sleep 0.02
    done
    ss --kill -Htln 'sport = :9' >/dev/null 2>&1
    left=$(ss -Htln 'sport = :9')
    kill $listener
    [ -z "$left" ] || { echo 'a socket outlived its end'; return 1; }
}
throttle() {
    [ -e /host-cgroup/blkio/blkio.throttle.write_bps_device ] && return 0
    grep -qw io /host-cgroup/cgroup.controllers 2>/dev/null && return 0
    echo 'no blkio or io controller is mounted under /sys/fs/cgroup'; return 1
}
try helper rules
try netem discipline netem delay 1ms
try tbf discipline tbf rate 1mbit burst 32kb latency 50ms
try socket-destroy sockets
try ptrace strace -qq -o /dev/null true
try cgroup-io throttle
"""

_REASONS = {
    Need.NETEM: "this kernel has no network emulator (sch_netem)",
    Need.TBF: "this kernel has no token bucket filter (sch_tbf)",
    Need.SOCKET_DESTROY: "this kernel does not close sockets on demand (CONFIG_INET_DIAG_DESTROY)",
    Need.PTRACE: "strace may not trace in a helper container",
    Need.CGROUP_IO: "this machine has no limits on block devices",
    Need.HELPER: "a helper container cannot change the network",
}

# A mount whose root is not / is a directory of another file system: the host's.
_OWN_DISK = """while read -r _ _ _ root point _; do
    [[ $point == /data && $root == / ]] && exit 0
done </proc/self/mountinfo; exit 1"""
_ON_THE_HOST = "its data lie on the host's file system: put compose.smalldisk.yaml into the lab's COMPOSE_FILE"
_OWN_CLOCK = """for e in /proc/[0-9]*/environ; do
    while IFS= read -r -d '' v; do [[ $v == LD_PRELOAD=*faketime* ]] && exit 0; done <"$e"
done 2>/dev/null; exit 1"""
_RIGHT_TIME = "its processes do not run under libfaketime: put compose.clock.yaml into the lab's COMPOSE_FILE"


class Capabilities:
    """Whether a need can be met, each looked at once."""

    def __init__(self, helpers: Helpers, cluster: Cluster) -> None:
        self._helpers = helpers
        self._cluster = cluster
        self._machine: Mapping[Need, str] | None = None
        self._one = asyncio.Lock()
        self._lab: Mapping[Need, Callable[[], Awaitable[str | None]]] = {
            Need.OWN_DISK: lambda: self._every_node(_OWN_DISK, _ON_THE_HOST),
            Need.OWN_CLOCK: lambda: self._every_node(_OWN_CLOCK, _RIGHT_TIME),
            Need.SYNCHRONOUS: self._synchronous,
            Need.QUORUM: self._quorum,
        }

    async def lacks(self, need: Need) -> str | None:
        """Why the need cannot be met, in one line; None when it can."""
        if need in self._lab:
            return await self._lab[need]()
        async with self._one:
            if self._machine is None:
                self._machine = await self._try()
        said = self._machine.get(need, "it was not tried")
        return f"{_REASONS[need]}: {said}" if said else None

    async def _try(self) -> Mapping[Need, str]:
        """Every need of the machine, to what went wrong when it was tried; "" for what works."""
        helper = Helper(
            ("sh", "-c", _TRIALS),
            capabilities=("NET_ADMIN", "NET_RAW", "SYS_PTRACE"),
            binds=("/sys/fs/cgroup:/host-cgroup:ro",),
        )
        try:
            ended = await self._helpers.alone(helper, _PROBE_S)
        except FaultError as error:
            hint = f"; `chaosbench lab up` builds {IMAGE}" if "o such image" in str(error) else ""
            return dict.fromkeys(_REASONS, f"{error}{hint}")
        rows = dict(line.split("\t", 1) for line in ended.output.splitlines() if "\t" in line)
        return {need: rows[need].strip("; ") for need in _REASONS if need in rows}

    async def _every_node(self, script: str, lacking: str) -> str | None:
        """Whether a script says yes in every PostgreSQL member that runs."""

        async def ask(member: Member) -> str | None:
            try:
                answer = await self._cluster.execute(member, ["bash", "-c", script], user="0", timeout=5)
            except FaultError as error:
                return str(error)
            return None if answer.ok else f"{member.name}: {lacking}"

        nodes = (await self._cluster.snapshot()).of(Role.POSTGRES)
        said = await asyncio.gather(*(ask(node) for node in nodes if node.state is RunState.RUNNING))
        return next((reason for reason in said if reason is not None), None)

    async def _synchronous(self) -> str | None:
        if (await self._cluster.snapshot()).sync_standbys:
            return None
        return "no synchronous standby: set PATRONI_SYNCHRONOUS_MODE=on in the lab's .env"

    async def _quorum(self) -> str | None:
        count = len((await self._cluster.snapshot()).of(Role.ETCD))
        if count >= _ETCD_QUORUM:
            return None
        members = f"{count} etcd member{'' if count == 1 else 's'}, and a quorum takes {_ETCD_QUORUM}"
        return f"{members}: put compose.etcd3.yaml into the lab's COMPOSE_FILE"
