"""What a cluster looks like at one instant. Decisions are made over a :class:`Snapshot`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Role(StrEnum):
    """What a member is there for."""

    POSTGRES = "postgres"
    ETCD = "etcd"
    PGPOOL = "pgpool"


class RunState(StrEnum):
    """Whether a member's container runs, as the container engine sees it."""

    RUNNING = "running"
    PAUSED = "paused"
    EXITED = "exited"
    RESTARTING = "restarting"


@dataclass(frozen=True, slots=True, order=True)
class Address:
    """A TCP address that clients of the cluster can reach."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Login:
    """Who connects to the database, and with what."""

    user: str
    password: str
    database: str

    def __repr__(self) -> str:
        return f"Login(user={self.user!r}, database={self.database!r})"


@dataclass(frozen=True, slots=True)
class Member:
    """One part of the cluster that a fault can hit.

    ``ports`` maps a service name (``sql``, ``patroni``, ``etcd``, ``pcp``) to
    the address where it is reached from here.
    """

    name: str
    role: Role
    container_id: str
    state: RunState
    ports: Mapping[str, Address] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Executed:
    """How a command ended: its exit code, and what it printed on both streams."""

    code: int
    output: str

    @property
    def ok(self) -> bool:
        """It said that it succeeded."""
        return self.code == 0


@dataclass(frozen=True, slots=True)
class Helper:
    """A container beside a member, with the tools and rights that the member itself lacks.

    command:       what it runs
    network, pid:  whether it shares the member's network or process namespace
    host:          whether it sees the processes of the whole machine
    capabilities:  Linux capabilities, such as ``NET_ADMIN``
    binds:         of the host, as ``/host/path:/path:ro``
    """

    command: tuple[str, ...]
    network: bool = False
    pid: bool = False
    host: bool = False
    capabilities: tuple[str, ...] = ()
    binds: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that happened to a member's container; ``wall_ns`` is the engine's own time, since the epoch."""

    member: str
    action: str
    wall_ns: int


@dataclass(frozen=True, slots=True)
class NodeView:
    """What one PostgreSQL node's Patroni says of it, or that it stays silent.

    ``role`` is ``leader``, ``replica`` or ``""`` when it did not answer;
    ``replicating`` names the standbys that stream *from* this node; ``sync`` is
    whether Patroni counts it as a synchronous standby; ``wal_position`` is where
    a leader writes, or what a replica has replayed.
    """

    role: str = ""
    state: str = "silent"
    timeline: int | None = None
    replicating: tuple[str, ...] = ()
    dcs_reachable: bool = True
    sync: bool = False
    wal_position: int | None = None

    @property
    def streaming(self) -> bool:
        """A replica that receives WAL by streaming, as its Patroni sees it."""
        return self.role == "replica" and self.state == "streaming"


@dataclass(frozen=True, slots=True)
class BackendView:
    """One row of Pgpool's ``SHOW pool_nodes``: ``status`` up/down/waiting, ``role`` primary/standby."""

    status: str
    role: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The cluster at one instant; immutable, so a decision and its record agree.

    ``nodes`` is keyed by PostgreSQL member; ``backends`` by Pgpool member, then
    by PostgreSQL member. A Pgpool that does not answer has no entry.
    ``etcd_leader`` is the etcd member that says it leads; None when none does.
    """

    members: tuple[Member, ...]
    nodes: Mapping[str, NodeView] = field(default_factory=dict)
    backends: Mapping[str, Mapping[str, BackendView]] = field(default_factory=dict)
    etcd_leader: str | None = None

    def member(self, name: str) -> Member | None:
        """The member of that name, if any."""
        return next((member for member in self.members if member.name == name), None)

    def of(self, role: Role) -> tuple[Member, ...]:
        """All members of a role, by name."""
        return tuple(sorted((m for m in self.members if m.role is role), key=lambda m: m.name))

    @property
    def leaders(self) -> tuple[Member, ...]:
        """Every node that says it leads; more than one is a split brain in the making."""
        return tuple(m for m in self.of(Role.POSTGRES) if self.nodes.get(m.name, NodeView()).role == "leader")

    @property
    def leader(self) -> Member | None:
        """The one leader, or none."""
        leaders = self.leaders
        return leaders[0] if len(leaders) == 1 else None

    @property
    def replicas(self) -> tuple[Member, ...]:
        """Every node that says it is a replica."""
        return tuple(m for m in self.of(Role.POSTGRES) if self.nodes.get(m.name, NodeView()).role == "replica")

    @property
    def sync_standbys(self) -> tuple[Member, ...]:
        """Every replica that a commit waits for."""
        return tuple(m for m in self.replicas if self.nodes[m.name].sync)

    def problems(self) -> tuple[str, ...]:
        """Why this cluster is not whole; empty when it is healthy and redundant.

        Healthy: every container runs, one leader, every other node streams from
        it on its timeline, and every Pgpool has every backend up with that
        leader as its primary.
        """
        return (*self._container_problems(), *self._postgres_problems(), *self._pgpool_problems())

    def _container_problems(self) -> Iterator[str]:
        for role in Role:
            if not self.of(role):
                yield f"no {role} container"
        for member in self.members:
            if member.state is not RunState.RUNNING:
                yield f"{member.name} is {member.state}"

    def _postgres_problems(self) -> Iterator[str]:
        leaders = self.leaders
        if len(leaders) != 1:
            yield "no leader" if not leaders else "several leaders: " + ", ".join(m.name for m in leaders)
            return
        leader = self.nodes[leaders[0].name]
        for member in self.of(Role.POSTGRES):
            node = self.nodes.get(member.name, NodeView())
            if member is leaders[0]:
                if node.state != "running":
                    yield f"{member.name} leads but is {node.state}"
            elif not node.streaming:
                yield f"{member.name} does not stream ({node.state})"
            elif node.timeline != leader.timeline:
                yield f"{member.name} is on timeline {node.timeline}, the leader on {leader.timeline}"
            elif member.name not in leader.replicating:
                yield f"the leader does not see {member.name} streaming"

    def _pgpool_problems(self) -> Iterator[str]:
        leader = self.leader
        for pgpool in self.of(Role.PGPOOL):
            backends = self.backends.get(pgpool.name)
            if backends is None:
                yield f"{pgpool.name} does not answer"
                continue
            for node in self.of(Role.POSTGRES):
                backend = backends.get(node.name)
                if backend is None or backend.status != "up":
                    yield f"{pgpool.name} has {node.name} {backend.status if backend else 'missing'}"
                elif leader is not None and (backend.role == "primary") != (node is leader):
                    yield f"{pgpool.name} takes {node.name} for a {backend.role}"
