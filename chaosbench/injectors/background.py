"""Processes that a fault starts inside a member's container and leaves there: marked, bounded in time, found again.

Each carries its mark as a word of its command line, so that whoever looks into
``/proc`` finds it, and runs under ``timeout``, so that it ends also when nobody
heals. What it prints is kept in the container until it is healed.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from chaosbench.cluster import Cluster
from chaosbench.errors import FaultError
from chaosbench.model.cluster import Executed, Member, RunState

MARGIN_S = 15.0
"""How much longer than its fault a process may live, for the regular healing to come first."""

# $1: copies, $2: lifetime in seconds, $3: where output goes, then the command. The shell ends at once.
_START = """
copies=$1 life=$2 log=$3; shift 3
while [ "$copies" -gt 0 ]; do
    setsid timeout -k 1 "$life" "$@" </dev/null >>"$log" 2>&1 &
    copies=$((copies - 1))
done
"""


async def start(
    cluster: Cluster,
    member: Member,
    mark: str,
    command: Sequence[str],
    lifetime: float,
    *,
    copies: int = 1,
    user: str = "0",
) -> None:
    """Start a command and leave it running; ``mark`` must be among its words. FaultError when it cannot be started."""
    words = ["sh", "-c", _START, "sh", str(copies), f"{lifetime:g}", _log(mark), *command]
    started = await cluster.execute(member, words, user=user)
    if not started.ok:
        raise FaultError(f"{mark} cannot be started in {member.name}: {started.output.strip()}")


async def count(cluster: Cluster, member: Member, mark: str) -> int:
    """How many of its processes are there, each with the ``timeout`` around it; 0 when the container does not run."""
    if await cluster.state(member) not in (RunState.RUNNING, RunState.PAUSED):
        return 0
    found = await _said(cluster, member, f"grep -las '{_pattern(mark)}' /proc/[0-9]*/cmdline | wc -l", "looked for")
    return int(found.output.strip() or 0)


async def output(cluster: Cluster, member: Member, mark: str) -> str:
    """The last lines that it printed, as one line."""
    told = await cluster.execute(member, ["tail", "-n", "3", _log(mark)], user="0")
    return " ".join(told.output.split()) if told.ok else ""


async def end(cluster: Cluster, member: Member, mark: str) -> None:
    """Kill its processes and remove what it printed. Nothing happens when there are none."""
    if await cluster.state(member) not in (RunState.RUNNING, RunState.PAUSED):
        return  # they ended with the container, and what they printed hurts nobody
    await _said(cluster, member, kill_script(mark), "ended")


def kill_script(mark: str) -> str:
    """A script for ``sh`` inside the container that ends the processes of a mark."""
    found = f"grep -las '{_pattern(mark)}' /proc/[0-9]*/cmdline | cut -d/ -f3"
    return f"for one in $({found}); do kill -9 $one 2>/dev/null; done; rm -f /tmp/{_pattern(mark)}.log"


def by_hand(member: Member, mark: str) -> str:
    """A shell command that ends them."""
    return f"docker exec -u 0 {member.container_id[:12]} sh -c {shlex.quote(kill_script(mark))}"


async def _said(cluster: Cluster, member: Member, script: str, verb: str) -> Executed:
    ended = await cluster.execute(member, ["sh", "-c", script], user="0")
    if not ended.ok:
        raise FaultError(f"the processes in {member.name} cannot be {verb}: {ended.output.strip()}")
    return ended


def _pattern(mark: str) -> str:
    """The mark for ``grep``, written so that the looking shell's own command line does not match."""
    return f"[{mark[0]}]{mark[1:]}"


def _log(mark: str) -> str:
    return f"/tmp/{mark}.log"  # noqa: S108 - inside the member's container
