"""The cluster made of labelled containers: faults through the container engine, views through the parts themselves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any

import aiohttp

from chaosbench import postgres
from chaosbench.cluster import PATIENCE_S, gateway, patroni, settings
from chaosbench.cluster.capabilities import Capabilities
from chaosbench.cluster.containers import MEMBER_LABEL, ROLE_LABEL, Container
from chaosbench.cluster.deeds import Deeds
from chaosbench.cluster.labfiles import LabFiles, read_lab
from chaosbench.cluster.statistics import sample_of
from chaosbench.errors import ClusterUnavailable, FaultError, InjectionError
from chaosbench.model.cluster import Address, BackendView, Happening, Login, Member, NodeView, Role, RunState, Snapshot
from chaosbench.model.containers import ContainerSample
from chaosbench.model.faults import Need

SERVICES = {
    Role.POSTGRES: {"sql": 5432, "patroni": 8008},
    Role.ETCD: {"etcd": 2379},
    Role.PGPOOL: {"sql": 9999, "pcp": 9898},
}
"""What each role listens on inside its container."""

_SETTINGS_S = 5.0


class DockerCluster(Deeds):
    """A :class:`~chaosbench.cluster.Cluster` of containers that carry chaosbench's labels.

    overheard:  told of every snapshot that anybody takes, so that nobody need ask a second time
    """

    def __init__(self, files: LabFiles) -> None:
        self.overheard: list[Callable[[Snapshot], None]] = []
        self._files = files
        super().__init__(files.project)
        self._capabilities = Capabilities(self._helpers, self)
        self._session: aiohttp.ClientSession | None = None

    @classmethod
    def at(cls, lab: Path) -> DockerCluster:
        """The cluster of the lab in this directory; ClusterUnavailable when it was never started."""
        return cls(read_lab(lab))

    @property
    def login(self) -> Login:
        """The application's login."""
        return self._files.login

    async def snapshot(self, patience: float = PATIENCE_S) -> Snapshot:
        """The cluster now; all parts are asked at once. One that does not run is not asked."""
        members = await self._members()
        asked = [member for member in members if member.state is RunState.RUNNING]
        nodes = [member for member in asked if member.role is Role.POSTGRES]
        pgpools = [member for member in asked if member.role is Role.PGPOOL]
        views, backends, etcd_leader = await asyncio.gather(
            asyncio.gather(*(self._node(member, patience) for member in nodes)),
            asyncio.gather(*(self._backends(member, patience) for member in pgpools)),
            gateway.leader_of(self._http, [member for member in asked if member.role is Role.ETCD], patience),
        )
        silent = {member.name: NodeView() for member in members if member.role is Role.POSTGRES}
        snapshot = Snapshot(
            members=members,
            nodes=silent | {member.name: view for member, view in zip(nodes, views, strict=True)},
            backends={member.name: rows for member, rows in zip(pgpools, backends, strict=True) if rows is not None},
            etcd_leader=etcd_leader,
        )
        for hear in self.overheard:
            hear(snapshot)
        return snapshot

    async def patroni(
        self, member: Member, method: str, path: str, body: Mapping[str, Any] | None = None, timeout: float = 10.0
    ) -> tuple[int, str]:
        """Ask the member's Patroni."""
        address = member.ports.get("patroni")
        if address is None:
            raise FaultError(f"{member.name} publishes no Patroni port")
        return await patroni.request(
            self._http, address, self._files.patroni_password, method, path, body=body, seconds=timeout
        )

    async def switchover(self, leader: Member, candidate: Member | None) -> None:
        """Ask Patroni to hand leadership over; InjectionError with Patroni's own words when it refuses."""
        address = leader.ports.get("patroni")
        if address is None:
            raise InjectionError(f"switchover: {leader.name} publishes no Patroni port")
        wanted = candidate.name if candidate else None
        await patroni.switchover(self._http, address, self._files.patroni_password, leader.name, wanted)

    async def forks(self) -> Mapping[int, int]:
        """Patroni's history of the timelines, as the first member that answers tells it."""
        for member in await self._members():
            if member.role is Role.POSTGRES and member.state is RunState.RUNNING and "patroni" in member.ports:
                found = await patroni.history(self._http, member.ports["patroni"], PATIENCE_S)
                if found is not None:
                    return found
        return {}

    async def proxy_address(self) -> Address:
        """Where clients connect: the first Pgpool by name."""
        address = next((m.ports.get("sql") for m in await self._members() if m.role is Role.PGPOOL), None)
        if address is None:
            raise ClusterUnavailable("the lab has no Pgpool with a published port: see `chaosbench lab status`")
        return address

    async def proxy_settings(self) -> Mapping[str, str]:
        """Pgpool's settings by name."""
        address = await self.proxy_address()
        try:
            rows = await postgres.fetch(address, self.login, "PGPOOL SHOW ALL", timeout=_SETTINGS_S)
        except postgres.QueryError as error:
            raise ClusterUnavailable(f"Pgpool does not tell its settings: {error}") from error
        return {row["item"]: row["value"] for row in rows}

    async def settings(self) -> Mapping[str, str]:
        """What the engine, Patroni, etcd and Pgpool tell of themselves; of Patroni and etcd the first that answers."""
        members = [member for member in await self._members() if member.state is RunState.RUNNING]
        found: dict[str, str] = dict(await self._engine.limits())
        for asks, service in ((settings.of_patroni, "patroni"), (settings.of_etcd, "etcd")):
            for address in (member.ports[service] for member in members if service in member.ports):
                said = await asks(self._http, address)
                found |= said
                if said:
                    break
        try:
            version = await postgres.fetch(
                await self.proxy_address(), self.login, "SHOW POOL_VERSION", timeout=_SETTINGS_S
            )
            found |= {"version.pgpool": next(iter(version[0].values()))}
            found |= dict(settings.flat("pgpool", await self.proxy_settings()))
        except (ClusterUnavailable, postgres.QueryError):
            return found  # a Pgpool that is down has no settings to tell
        return found

    async def containers(self) -> Mapping[str, str]:
        """Names of all containers of the lab, one-shot jobs included, to their ids."""
        return {container.name: container.id for container in await self._engine.labelled()}

    async def lacks(self, need: Need) -> str | None:
        """Probed once for each cluster object."""
        return await self._capabilities.lacks(need)

    def happenings(self) -> AsyncGenerator[Happening, None]:
        """What happens to the lab's containers from now on."""
        return self._engine.happenings()

    async def statistics(self, member: Member) -> AsyncGenerator[ContainerSample | None, None]:
        """What the member's container uses, as the engine counts it."""
        async with aclosing(self._engine.statistics(member.container_id)) as entries:
            async for entry in entries:
                yield sample_of(entry)

    async def close(self) -> None:
        """Let go of sockets."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()
        await self._engine.close()

    async def __aenter__(self) -> DockerCluster:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _members(self) -> tuple[Member, ...]:
        found = (_member(container) for container in await self._engine.labelled())
        return tuple(sorted((member for member in found if member is not None), key=lambda member: member.name))

    async def _node(self, node: Member, patience: float) -> NodeView:
        address = node.ports.get("patroni")
        return NodeView() if address is None else await patroni.ask(self._http, address, patience)

    async def _backends(self, pgpool: Member, patience: float) -> dict[str, BackendView] | None:
        """Pgpool's own view, by host name, which in the lab is the member's name; None when it does not answer."""
        address = pgpool.ports.get("sql")
        if address is None:
            return None
        try:
            rows = await postgres.fetch(address, self.login, "SHOW POOL_NODES", timeout=patience)
        except postgres.QueryError:
            return None
        return {row["hostname"]: BackendView(status=row["status"], role=row["role"]) for row in rows}

    @property
    def _http(self) -> aiohttp.ClientSession:
        # No connection is kept: one left over from before a freeze would swallow the next question.
        if self._session is None:
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True))
        return self._session


def _member(container: Container) -> Member | None:
    """The member that a container is; None for a one-shot job of the lab."""
    label = container.labels.get(ROLE_LABEL)
    role = next((role for role in Role if role == label), None)
    if role is None:
        return None
    ports = {name: container.ports[port] for name, port in SERVICES[role].items() if port in container.ports}
    name = container.labels.get(MEMBER_LABEL, container.name)
    return Member(name=name, role=role, container_id=container.id, state=container.state, ports=ports)
