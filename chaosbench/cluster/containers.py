"""The container engine as chaosbench uses it: labelled containers, and deeds done to one of them.

Every call is bounded in time, and every deed first asks the engine, by the
container's id, whether it carries the lab's label: no other container is touched.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import aiodocker
import aiohttp
from aiodocker.containers import DockerContainer

from chaosbench.cluster import settings
from chaosbench.errors import ClusterUnavailable, FaultError, TargetError
from chaosbench.model.cluster import Address, Happening, Role, RunState

LAB_LABEL = "io.chaosbench.lab"
ROLE_LABEL = "io.chaosbench.role"
MEMBER_LABEL = "io.chaosbench.member"

T = TypeVar("T")

_LOOK_S = 5.0
_ACT_S = 15.0
_ADVICE = "is the Docker engine running, and may this user reach its socket?"
_NO_CONNECTION = 900  # aiodocker's own number
_NOT_FOUND = 404
_STATES = {"running": RunState.RUNNING, "paused": RunState.PAUSED, "restarting": RunState.RESTARTING}


@dataclass(frozen=True, slots=True)
class Container:
    """One container as the engine describes it.

    ports:  a container's port, to where it is published
    shown:  the whole description
    """

    id: str
    name: str
    labels: Mapping[str, str]
    state: RunState
    ports: Mapping[int, Address]
    shown: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


class Engine:
    """A connection to the container engine, limited to containers with the lab's label.

    project:  the label's value; None for any, as long as all containers agree
    """

    def __init__(self, project: str | None = None) -> None:
        self._project = project
        self._docker: aiodocker.Docker | None = None

    async def labelled(self) -> tuple[Container, ...]:
        """All containers of the lab, running or not, by name; ClusterUnavailable when there is none."""
        containers = await self.everything()
        if not containers:
            raise ClusterUnavailable(
                f"no container carries the label {self._label}: start the lab with `chaosbench lab up`"
            )
        labs = {container.labels[LAB_LABEL] for container in containers}
        if len(labs) > 1:
            raise ClusterUnavailable(f"several labs are on this engine ({', '.join(sorted(labs))}): choose with --lab")
        return containers

    async def everything(self) -> tuple[Container, ...]:
        """All containers of the lab, by name; none when it is not up."""
        filters = json.dumps({"label": [self._label]})
        found = await self._look(lambda docker: docker.containers.list(all="true", filters=filters))
        shown = await self._look(lambda _: asyncio.gather(*(_show(container) for container in found)))
        return tuple(sorted((c for c in shown if c is not None), key=lambda container: container.name))

    async def inspect(self, container_id: str) -> Container:
        """One container afresh; TargetError when it is gone or does not carry the lab's label."""
        container = await self._look(lambda docker: _show(docker.containers.container(container_id)))
        if container is None:
            raise TargetError(f"container {container_id[:12]} is gone: was the lab made anew meanwhile?")
        lab = container.labels.get(LAB_LABEL)
        if lab is None or (self._project is not None and lab != self._project):
            raise TargetError(
                f"container {container.name} ({container_id[:12]}) does not carry the label "
                f"{LAB_LABEL}={self._project or '...'}: chaosbench touches only containers that carry its label"
            )
        return container

    async def act(
        self,
        verb: str,
        container_id: str,
        deed: Callable[[DockerContainer, aiodocker.Docker], Awaitable[T]],
        seconds: float = _ACT_S,
    ) -> T:
        """Do ``deed`` to a labelled container. FaultError with the engine's own words when it refuses."""
        container = await self.inspect(container_id)
        return await self.order(
            f"{verb} {container.name}", lambda docker: deed(docker.containers.container(container_id), docker), seconds
        )

    async def order(self, words: str, deed: Callable[[aiodocker.Docker], Awaitable[T]], seconds: float = _ACT_S) -> T:
        """Have the engine do something; FaultError with its own words when it refuses."""
        try:
            return await self._ask(deed, seconds)
        except aiodocker.DockerError as error:
            raise FaultError(f"docker {words}: {error.message}") from error

    async def limits(self) -> Mapping[str, str]:
        """The engine's version and every container's limits, by dotted name."""
        containers = await self.labelled()

        async def asked(docker: aiodocker.Docker) -> dict[str, str]:
            found = {"version.docker": str((await docker.version())["Version"])}
            for container in containers:
                shown = await docker.containers.container(container.id).show()
                if container.labels.get(ROLE_LABEL) in tuple(Role):  # a job that is over limits nothing
                    member = container.labels.get(MEMBER_LABEL, container.name)
                    found |= dict(settings.limits(member, shown["HostConfig"]))
            return found

        return await self._look(asked)

    async def happenings(self) -> AsyncGenerator[Happening, None]:
        """What happens to containers of the lab from now on. Ends when the engine ends the stream, or is not there.

        aiodocker's stream does not come back by itself, and only the first
        subscription's filters count: so each call has a connection of its own.
        """
        filters = json.dumps({"type": ["container"], "label": [self._label]})
        try:
            docker = aiodocker.Docker()
        except (AssertionError, ValueError):  # how aiodocker says that it found no socket at all
            return
        subscriber = docker.events.subscribe(create_task=False)  # type: ignore[no-untyped-call]
        streaming = asyncio.create_task(docker.events.run(filters=filters))
        try:
            while (event := await subscriber.get()) is not None:
                actor = event["Actor"]
                member = actor["Attributes"].get(MEMBER_LABEL, actor["ID"])
                yield Happening(member, event["Action"], event["timeNano"])
        finally:
            streaming.cancel()
            await asyncio.gather(streaming, return_exceptions=True)
            await docker.close()

    @property
    def _label(self) -> str:
        return LAB_LABEL if self._project is None else f"{LAB_LABEL}={self._project}"

    async def statistics(self, container_id: str) -> AsyncGenerator[Mapping[str, Any], None]:
        """A labelled container's statistics as the engine tells them, about once a second; ends when the engine does.

        Raises ClusterUnavailable when they cannot be had. The caller bounds its patience between two entries.
        """
        await self.inspect(container_id)
        assert self._docker is not None
        # aiodocker promises an iterator only; what it returns is a generator, which must not be left half read.
        stream = cast("AsyncGenerator[dict[str, Any], None]", self._docker.containers.container(container_id).stats())
        try:
            async with aclosing(stream):
                async for entry in stream:
                    yield entry
        except (aiodocker.DockerError, aiohttp.ClientError, ValueError) as error:
            raise ClusterUnavailable(f"the Docker engine stopped telling statistics: {error}") from error

    async def close(self) -> None:
        """Let go of the engine's socket."""
        docker, self._docker = self._docker, None
        if docker is not None:
            await docker.close()

    async def _look(self, question: Callable[[aiodocker.Docker], Awaitable[T]]) -> T:
        """A question that changes nothing; ClusterUnavailable whatever keeps the engine from answering it."""
        try:
            return await self._ask(question, _LOOK_S)
        except aiodocker.DockerError as error:
            raise ClusterUnavailable(f"the Docker engine cannot tell its containers: {error.message}") from error

    async def _ask(self, question: Callable[[aiodocker.Docker], Awaitable[T]], seconds: float) -> T:
        """Put a question to the engine; ClusterUnavailable when it does not answer, DockerError when it refuses."""
        try:
            if self._docker is None:
                self._docker = aiodocker.Docker()
            async with asyncio.timeout(seconds):
                return await question(self._docker)
        except TimeoutError:
            raise ClusterUnavailable(f"no answer from the Docker engine within {seconds:g} s: {_ADVICE}") from None
        except (AssertionError, ValueError) as error:  # how aiodocker says that it found no socket at all
            raise ClusterUnavailable(f"no Docker engine found: {_ADVICE}") from error
        except aiodocker.DockerError as error:
            if error.status != _NO_CONNECTION:
                raise
            raise ClusterUnavailable(f"no answer from the Docker engine: {_ADVICE} ({error.message})") from error


async def _show(container: DockerContainer) -> Container | None:
    """What inspect says; None when the container vanished since it was listed."""
    try:
        return _container(await container.show())
    except aiodocker.DockerError as error:
        if error.status == _NOT_FOUND:
            return None
        raise


def _container(shown: Mapping[str, Any]) -> Container:
    return Container(
        id=shown["Id"],
        name=shown["Name"].lstrip("/"),
        labels=shown["Config"]["Labels"] or {},
        state=_STATES.get(shown["State"]["Status"], RunState.EXITED),
        ports=_ports(shown),
        shown=shown,
    )


def _ports(shown: Mapping[str, Any]) -> dict[int, Address]:
    """Published ports. A stopped container has none in force, so what it was created with fills in."""
    wished = shown["HostConfig"]["PortBindings"] or {}
    in_force = {port: hosts for port, hosts in (shown["NetworkSettings"]["Ports"] or {}).items() if hosts}
    return {
        int(port.split("/")[0]): Address("127.0.0.1", int(hosts[0]["HostPort"]))
        for port, hosts in {**wished, **in_force}.items()
        if hosts and hosts[0]["HostPort"]
    }
