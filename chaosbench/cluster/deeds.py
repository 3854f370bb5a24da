"""What is done to one member through the container engine: its life, limits, networks, commands in and beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chaosbench.cluster.containers import Engine
from chaosbench.cluster.helpers import Helpers
from chaosbench.errors import FaultError
from chaosbench.model.cluster import Executed, Helper, Member, RunState

_ACT_S = 15.0

_UNSEEN = "id already in use"
"""What an engine answers that was asked before to start the container while it was itself going down: it runs, and the
engine that came up again knows nothing of it, for good (moby issue 40613)."""

# $1: the container's whole id, which is in the name of its control group. Its first process takes all others along.
_END_UNSEEN = """
grep -l "$1" /proc/[0-9]*/cgroup 2>/dev/null | cut -d/ -f3 | xargs -r kill -9
for _ in 1 2 3 4 5 6 7 8 9 10; do grep -qs "$1" /proc/[0-9]*/cgroup || exit 0; sleep 0.2; done; exit 1
"""


class Deeds:
    """The half of a :class:`~chaosbench.cluster.Cluster` that acts on containers of one lab."""

    def __init__(self, project: str) -> None:
        self._engine = Engine(project)
        self._helpers = Helpers(self._engine, project)

    async def state(self, member: Member) -> RunState:
        """Whether the member's container runs, asked afresh and by id."""
        return (await self._engine.inspect(member.container_id)).state

    async def kill(self, member: Member) -> None:
        """SIGKILL the member's container."""
        await self._engine.act("kill", member.container_id, lambda container, _: container.kill())

    async def start(self, member: Member) -> None:
        """Start the member's container; nothing happens when it runs. One that runs unseen is ended first."""
        try:
            await self._start(member)
        except FaultError as error:
            if _UNSEEN not in str(error):
                raise
            helper = Helper(("bash", "-c", _END_UNSEEN, "bash", member.container_id), host=True, capabilities=("KILL",))
            await self.assist(member, helper)
            await self._start(member)

    async def _start(self, member: Member) -> None:
        await self._engine.act("start", member.container_id, lambda container, _: container.start())

    async def stop(self, member: Member, grace: float) -> None:
        """SIGTERM, and SIGKILL after ``grace`` seconds; nothing happens when it does not run."""
        await self._engine.act(
            "stop", member.container_id, lambda container, _: container.stop(t=int(grace)), grace + _ACT_S
        )

    async def restart(self, member: Member, grace: float) -> None:
        """Stop it so, and start it at once."""
        await self._engine.act(
            "restart", member.container_id, lambda container, _: container.restart(t=int(grace)), grace + _ACT_S
        )

    async def pause(self, member: Member) -> None:
        """Freeze every process of the member."""
        await self._engine.act("pause", member.container_id, lambda container, _: container.pause())

    async def unpause(self, member: Member) -> None:
        """Thaw the member; nothing happens when it is not frozen."""
        if await self.state(member) is RunState.PAUSED:
            await self._engine.act("unpause", member.container_id, lambda container, _: container.unpause())

    async def inspect(self, member: Member) -> Mapping[str, Any]:
        """The engine's own description of the member's container."""
        return (await self._engine.inspect(member.container_id)).shown

    async def limit(self, member: Member, limits: Mapping[str, int]) -> None:
        """Change its limits while it runs. aiodocker has no such call, so the engine's own path is asked."""
        path = f"containers/{member.container_id}/update"
        await self._engine.act(
            "update", member.container_id, lambda _, docker: docker._query_json(path, "POST", data=dict(limits))
        )

    async def disconnect(self, member: Member, network: str) -> None:
        """Take the member off a network."""

        async def disconnect(_: object, docker: Any) -> None:
            await (await docker.networks.get(network)).disconnect({"Container": member.container_id, "Force": True})

        await self._engine.act(f"network disconnect {network}", member.container_id, disconnect)

    async def connect(self, member: Member, network: str, endpoint: Mapping[str, Any]) -> None:
        """Put the member on a network, with these settings of its endpoint."""
        config = {"Container": member.container_id, "EndpointConfig": dict(endpoint)}

        async def connect(_: object, docker: Any) -> None:
            await (await docker.networks.get(network)).connect(config)

        await self._engine.act(f"network connect {network}", member.container_id, connect)

    async def execute(
        self, member: Member, command: Sequence[str], *, user: str = "", timeout: float = 15.0
    ) -> Executed:
        """Run a command inside the member's container."""
        return await self._helpers.execute(member, command, user, timeout)

    async def assist(self, member: Member, helper: Helper, timeout: float = 20.0) -> Executed:
        """Run a helper container beside the member to its end."""
        return await self._helpers.assist(member, helper, timeout)

    async def station(self, member: Member, helper: Helper, name: str, lifetime: float) -> None:
        """Start a helper container beside the member and leave it there."""
        await self._helpers.station(member, helper, name, lifetime)

    async def stationed(self, name: str) -> RunState | None:
        """How a helper container stands."""
        return await self._helpers.stationed(name)

    async def instruct(self, name: str, command: Sequence[str], timeout: float = 10.0) -> Executed:
        """Run a command inside a helper container that is stationed."""
        return await self._helpers.instruct(name, command, timeout)

    async def dismiss(self, name: str, grace: float = 10.0) -> None:
        """Stop a helper container and remove it."""
        await self._helpers.dismiss(name, grace)
