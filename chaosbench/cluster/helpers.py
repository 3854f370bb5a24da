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

_OUTPUT = 256 * 1024
_GRACE_S = 5.0
_NOT_FOUND, _CONFLICT = 404, 409


class Helpers:
    """Commands in, and containers beside, the members of one lab."""

    def __init__(self, engine: Engine, project: str) -> None:
        self._engine = engine
        self._project = project

    async def execute(self, member: Member, command: Sequence[str], user: str, timeout: float) -> Executed:
        """Run a command in the member's container."""
        return await self._engine.act(
            "exec in",
            member.container_id,
            lambda container, _: _run(container, command, user, timeout),
            timeout + _GRACE_S,
        )

    async def instruct(self, name: str, command: Sequence[str], timeout: float) -> Executed:
        """Run a command in a helper that is stationed; FaultError when it is not there any more."""
        full = self._full(name)
        return await self._engine.order(
            f"exec in {full}",
            lambda docker: _run(docker.containers.container(full), command, "", timeout),
            timeout + _GRACE_S,
        )

    async def assist(self, member: Member, helper: Helper, timeout: float) -> Executed:
        """Run a helper to its end and remove it."""
        await self._engine.inspect(member.container_id)  # it must carry the lab's label
        return await self._once(self._config(helper, member=member), timeout)

    async def alone(self, helper: Helper, timeout: float) -> Executed:
        """Run a helper beside nobody, in namespaces of its own; to see what this machine can do."""
        return await self._once(self._config(helper), timeout)

    async def station(self, member: Member, helper: Helper, name: str, lifetime: float) -> None:
        """Start a helper and leave it there; one of that name that is there already is replaced."""
        await self.dismiss(name, _GRACE_S)
        await self._engine.inspect(member.container_id)  # it must carry the lab's label
        config = self._config(helper, member=member)
        config["Env"] = [f"CHAOSBENCH_LIFETIME={lifetime:g}"]
        config["HostConfig"]["AutoRemove"] = True  # one that expired leaves nothing behind
        await self._start(config, self._full(name))

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

    async def _once(self, config: Mapping[str, Any], timeout: float) -> Executed:
        name = self._full(f"once-{secrets.token_hex(4)}")

        async def ended(docker: aiodocker.Docker) -> Executed:
            container = docker.containers.container(name)
            code = (await container.wait())["StatusCode"]
            lines = await container.log(stdout=True, stderr=True)
            return Executed(code, "".join(lines)[:_OUTPUT])

        try:
            await self._start(config, name)
            return await self._engine.order(f"wait {name}", ended, timeout)
        finally:
            await self._remove(name)

    async def _start(self, config: Mapping[str, Any], name: str) -> None:
        """Not aiodocker's ``run``: where the image is missing that goes looking for it in a registry."""

        async def start(docker: aiodocker.Docker) -> None:
            await (await docker.containers.create(dict(config), name=name)).start()

        try:
            await self._engine.order(f"run {name}", start)
        except FaultError:
            await self._remove(name)  # it may have been created and not started
            raise

    async def _remove(self, full: str) -> None:
        try:
            await self._engine.order(f"rm {full}", lambda docker: docker.containers.container(full).delete(force=True))
        except FaultError as error:
            if not _is(error, _NOT_FOUND) and not _is(error, _CONFLICT):  # gone, or going
                raise

    def _config(self, helper: Helper, *, member: Member | None = None) -> dict[str, Any]:
        beside = f"container:{member.container_id}" if member else ""
        words = f"helper of {member.name}" if member else "helper of nobody"
        return {
            "Image": IMAGE,
            "Cmd": list(helper.command),
            "Labels": {LAB_LABEL: self._project, ROLE_LABEL: ROLE, MEMBER_LABEL: words},
            "HostConfig": {
                "NetworkMode": beside if beside and helper.network else "none",
                "PidMode": "host" if helper.host else beside if helper.pid else "",
                "CapDrop": ["ALL"],
                "CapAdd": list(helper.capabilities),
                "Binds": list(helper.binds),
                "RestartPolicy": {"Name": "no"},
                "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}},
            },
        }

    def _full(self, name: str) -> str:
        return f"{self._project}-helper-{name}"


async def _run(container: DockerContainer, command: Sequence[str], user: str, timeout: float) -> Executed:
    """Run a command in a container. It is killed there when its time is over: nobody else would."""
    bounded = ["timeout", "-k", "1", f"{timeout:g}", *command]
    execution = await container.exec(bounded, stdout=True, stderr=True, user=user)
    output = b""
    async with execution.start(detach=False) as stream:
        while (message := await stream.read_out()) is not None:
            output = (output + message.data)[:_OUTPUT]
    code = (await execution.inspect())["ExitCode"]
    return Executed(code, output.decode(errors="replace"))


def _is(error: FaultError, status: int) -> bool:
    return isinstance(error.__cause__, aiodocker.DockerError) and error.__cause__.status == status
