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
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

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


class NetworkChange(ABC):
    """A fault that is one change to its member's network namespace: all verbs but ``look``.

    What ``look`` says must hold a ``token`` of :func:`token` and, as ``started``,
    the answer of :func:`since`. Together with the settings that makes the change,
    so whoever has both can tell whether it is there, and undo it.
    """

    __slots__ = ()

    kind: ClassVar[str]

    @property
    @abstractmethod
    def hold(self) -> float:
        """Seconds from injection to healing."""

    @abstractmethod
    def _change(self, before: Before) -> Change:
        """What is to be made and undone; the same for the same settings and the same ``before``."""

    async def inject(self, cluster: Cluster, member: Member, before: Before) -> None:
        """Make the change; InjectionError with the tool's own words when it cannot be made."""
        change, name = self._change(before), self._name(before)
        await cluster.station(member, helper(_STATION.format(undo=change.undo)), name, self.hold + MARGIN_S)
        applied = await cluster.instruct(name, ["sh", "-c", change.apply])
        if not applied.ok:
            raise InjectionError(f"the network of {member.name} cannot be changed: {applied.output.strip()}")

    async def present(self, cluster: Cluster, member: Member, before: Before) -> bool:
        """The change is in the member's namespace now."""
        if await _ended(cluster, member, before):
            return False
        shown = await _in_or_beside(cluster, member, self._name(before), self._change(before).shows)
        if shown.code not in (THERE, GONE):
            raise FaultError(f"the network of {member.name} cannot be looked at: {shown.output.strip()}")
        return shown.code == THERE

    async def heal(self, cluster: Cluster, member: Member, before: Before) -> None:
        """Undo the change, then let the helper go."""
        name = self._name(before)
        if not await _ended(cluster, member, before):
            undone = await _in_or_beside(cluster, member, name, self._change(before).undo)
            if not undone.ok:
                raise FaultError(f"the network of {member.name} cannot be changed back: {undone.output.strip()}")
        await cluster.dismiss(name)

    def remedy(self, member: Member, before: Before) -> str:
        """Undo the change by hand."""
        script = self._change(before).undo.strip().replace("'", "'\\''")
        network = f"--network container:{member.container_id[:12]}"
        return f"docker run --rm {network} --cap-add NET_ADMIN chaosbench-tools:local sh -c '{script}'"

    def _name(self, before: Before) -> str:
        """The helper's."""
        return f"{self.kind}-{before['token']}"


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
