"""What runs beside a member: commands inside its container, and helper containers that share its namespaces.

A helper container carries the lab's label and the role ``helper``, so it is no
member and no target. Its image (``infra/tools``) has the tools that members
lack; the rights it gets are those that the fault names, and no others.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

import aiodocker
from aiodocker.containers import DockerContainer

from chaosbench.cluster.containers import LAB_LABEL, MEMBER_LABEL, ROLE_LABEL, Engine
from chaosbench.errors import FaultError
from chaosbench.model.cluster import Executed, Helper, Member, RunState

IMAGE = "chaosbench-tools:local"
ROLE = "helper"

_OUTPUT = 64 * 1024
_GRACE_S = 5.0
_NOT_FOUND, _CONFLICT = 404, 409


class Helpers:
    """Commands in, and containers beside, the members of one lab."""

    def __init__(self, engine: Engine, project: str) -> None:
        self._engine = engine
        self._project = project

    async def execute(self, member: Member, command: Sequence[str], user: str, timeout: float) -> Executed:
        """Run a command in the member's container. It is killed there when its time is over: nobody else would."""
        bounded = ["timeout", "-k", "1", f"{timeout:g}", *command]

        async def run(container: DockerContainer, _: aiodocker.Docker) -> Executed:
            execution = await container.exec(bounded, stdout=True, stderr=True, user=user)
            output = b""
            async with execution.start(detach=False) as stream:
                while (message := await stream.read_out()) is not None:
                    output = (output + message.data)[:_OUTPUT]
            code = (await execution.inspect())["ExitCode"]
            return Executed(code, output.decode(errors="replace"))

        return await self._engine.act("exec in", member.container_id, run, timeout + _GRACE_S)

    async def assist(self, member: Member, helper: Helper, timeout: float) -> Executed:
        """Run a helper to its end and remove it."""
        name = self._full(f"once-{secrets.token_hex(4)}")
        await self._start(member, helper, name, {})
        try:

            async def ended(docker: aiodocker.Docker) -> Executed:
                container = docker.containers.container(name)
                code = (await container.wait())["StatusCode"]
                lines = await container.log(stdout=True, stderr=True)
                return Executed(code, "".join(lines)[:_OUTPUT])

            return await self._engine.order(f"wait {name}", ended, timeout)
        finally:
            await self._remove(name)

    async def station(self, member: Member, helper: Helper, name: str, lifetime: float) -> None:
        """Start a helper and leave it there; one of that name that is there already is replaced."""
        await self.dismiss(name, _GRACE_S)
        await self._start(member, helper, self._full(name), {"CHAOSBENCH_LIFETIME": f"{lifetime:g}"})

    async def stationed(self, name: str) -> RunState | None:
        """How a helper stands; None when there is none of that name."""
        full = self._full(name)
        found = [c for c in await self._engine.everything() if c.name == full]
        return found[0].state if found else None

    async def dismiss(self, name: str, grace: float) -> None:
        """Stop a helper, which then undoes its fault, and remove it."""
        full = self._full(name)
        try:
            await self._engine.order(
                f"stop {full}", lambda docker: docker.containers.container(full).stop(t=int(grace)), grace + _GRACE_S
            )
        except FaultError as error:
            if not _is(error, _NOT_FOUND):
                raise
        await self._remove(full)

    async def _start(self, member: Member, helper: Helper, name: str, environment: Mapping[str, str]) -> None:
        await self._engine.inspect(member.container_id)  # it must carry the lab's label
        config = self._config(member, helper, environment)
        await self._engine.order(f"run {name}", lambda docker: docker.containers.run(config, name=name))

    async def _remove(self, full: str) -> None:
        try:
            await self._engine.order(f"rm {full}", lambda docker: docker.containers.container(full).delete(force=True))
        except FaultError as error:
            if not _is(error, _NOT_FOUND) and not _is(error, _CONFLICT):  # gone, or going
                raise

    def _config(self, member: Member, helper: Helper, environment: Mapping[str, str]) -> dict[str, Any]:
        beside = f"container:{member.container_id}"
        return {
            "Image": IMAGE,
            "Cmd": list(helper.command),
            "Env": [f"{key}={value}" for key, value in environment.items()],
            "Labels": {LAB_LABEL: self._project, ROLE_LABEL: ROLE, MEMBER_LABEL: f"helper of {member.name}"},
            "HostConfig": {
                "NetworkMode": beside if helper.network else "none",
                "PidMode": beside if helper.pid else "",
                "CapDrop": ["ALL"],
                "CapAdd": list(helper.capabilities),
                "Binds": list(helper.binds),
                "RestartPolicy": {"Name": "no"},
                "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}},
            },
        }

    def _full(self, name: str) -> str:
        return f"{self._project}-helper-{name}"


def _is(error: FaultError, status: int) -> bool:
    return isinstance(error.__cause__, aiodocker.DockerError) and error.__cause__.status == status
