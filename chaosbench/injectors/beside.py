"""Changes to a member's network namespace, made by a helper container beside it.

First the helper is stationed, which can only undo; then it is told to make the
change. So there is no instant at which the change is there and nobody to end it:
the helper undoes it when it is asked to stop, and when its lifetime is over,
whatever became of chaosbench. Where the helper itself was killed, another one
undoes the change. A namespace ends with its container: what was in it is gone
after a restart, and that is told by the container's start time.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chaosbench.cluster import Cluster
from chaosbench.errors import FaultError, InjectionError
from chaosbench.model.cluster import Executed, Helper, Member, RunState
from chaosbench.model.faults import Before

MARGIN_S = 10.0
"""How much longer than its fault a helper stays, for the regular healing to come first."""

THERE, GONE = 0, 1
"""What a change's ``shows`` ends with; anything else means that it cannot be told."""

_STATION = """
undo() {{
{undo}
}}
trap 'undo; exit' TERM INT
sleep "$CHAOSBENCH_LIFETIME" &
wait $!
undo
"""


@dataclass(frozen=True, slots=True)
class Change:
    """A change to a network namespace, as scripts for ``sh`` in the helper's image.

    apply:  makes it; fails when it cannot be made whole
    undo:   takes away what carries this change's mark and nothing else; succeeds when nothing is there
    shows:  exits with :data:`THERE` or :data:`GONE`
    """

    apply: str
    undo: str
    shows: str


def helper(script: str) -> Helper:
    """A helper with the right to change the network of the member that it stands beside, and no other."""
    return Helper(("sh", "-c", script), network=True, capabilities=("NET_ADMIN", "NET_RAW"))


def token() -> str:
    """Tells one injection's marks from every other's."""
    return secrets.token_hex(4)


async def since(cluster: Cluster, member: Member) -> str:
    """When the member's container, and with it its network namespace, began."""
    return _started(await cluster.inspect(member))


async def put(cluster: Cluster, member: Member, name: str, change: Change, hold: float) -> None:
    """Make the change; InjectionError with the tool's own words when it cannot be made."""
    await cluster.station(member, helper(_STATION.format(undo=change.undo)), name, hold + MARGIN_S)
    applied = await cluster.instruct(name, ["sh", "-c", change.apply])
    if not applied.ok:
        raise InjectionError(f"the network of {member.name} cannot be changed: {applied.output.strip()}")


async def there(cluster: Cluster, member: Member, name: str, change: Change, before: Before) -> bool:
    """Whether the change is in the member's namespace now."""
    if await _ended(cluster, member, before):
        return False
    shown = await _in_or_beside(cluster, member, name, change.shows)
    if shown.code not in (THERE, GONE):
        raise FaultError(f"the network of {member.name} cannot be looked at: {shown.output.strip()}")
    return shown.code == THERE


async def take(cluster: Cluster, member: Member, name: str, change: Change, before: Before) -> None:
    """Undo the change, then let the helper go."""
    if not await _ended(cluster, member, before):
        undone = await _in_or_beside(cluster, member, name, change.undo)
        if not undone.ok:
            raise FaultError(f"the network of {member.name} cannot be changed back: {undone.output.strip()}")
    await cluster.dismiss(name)


def by_hand(member: Member, change: Change) -> str:
    """A shell command that undoes the change."""
    script = change.undo.strip().replace("'", "'\\''")
    network = f"--network container:{member.container_id[:12]}"
    return f"docker run --rm {network} --cap-add NET_ADMIN chaosbench-tools:local sh -c '{script}'"


async def _ended(cluster: Cluster, member: Member, before: Before) -> bool:
    if await cluster.state(member) not in (RunState.RUNNING, RunState.PAUSED):
        return True
    return await since(cluster, member) != str(before["started"])


async def _in_or_beside(cluster: Cluster, member: Member, name: str, script: str) -> Executed:
    """By the helper that is there, or else by one of its own: containers are made in a second, commands in a tenth."""
    try:
        return await cluster.instruct(name, ["sh", "-c", script])
    except FaultError:
        return await cluster.assist(member, helper(script))


def _started(shown: Mapping[str, Any]) -> str:
    return str(shown["State"]["StartedAt"])
