"""A cluster in memory, on the clock of a test: three PostgreSQL, one etcd, one Pgpool.

It elects, demotes and follows as the real one does, after delays that the test
sets. Nothing runs in the background: what time has brought about is worked out
whenever the cluster is looked at or touched.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping

from chaosbench.clock import Clock, to_ns
from chaosbench.cluster import PATIENCE_S
from chaosbench.cluster.fake_deeds import FakeDeeds
from chaosbench.errors import ChaosbenchError, FaultError, InjectionError, TargetError
from chaosbench.model.cluster import Address, BackendView, Happening, Login, Member, NodeView, Role, RunState, Snapshot
from chaosbench.model.containers import ContainerSample
from chaosbench.model.faults import Need

NODES = ("pg1", "pg2", "pg3")
_ROLES = {**dict.fromkeys(NODES, Role.POSTGRES), "etcd1": Role.ETCD, "pgpool1": Role.PGPOOL}


class FakeCluster(FakeDeeds):
    """A :class:`~chaosbench.cluster.Cluster` that needs nothing but a clock.

    failover_delay:  seconds without a leader before another node is elected
    demote_after:    seconds without etcd before the leader steps down
    takes:           seconds that each verb takes
    calls:           every verb called, as ``("kill", "pg1")``, failed ones included
    failures:        errors still to be raised, by verb: ``{"start": [FaultError("no")]}`` fails the next start
    silent:          nodes whose Patroni does not answer although they run
    missing:         why a need cannot be had
    sync:            the node that is a synchronous standby, if any
    """

    def __init__(self, clock: Clock, *, failover_delay: float = 5.0, demote_after: float = 10.0) -> None:
        super().__init__()
        self._clock = clock
        self.failover_delay = failover_delay
        self.demote_after = demote_after
        self.takes = 0.0
        self.states = dict.fromkeys(_ROLES, RunState.RUNNING)
        self.leader: str | None = "pg1"
        self.timeline = 1
        self.calls: list[tuple[str, str]] = []
        self.failures: dict[str, list[ChaosbenchError]] = {}
        self.silent: set[str] = set()
        self.closed = False
        self.missing: dict[Need, str] = {}
        self.sync: str | None = None
        self._leaderless_since: int | None = None
        self._etcd_lost_since: int | None = None

    @property
    def login(self) -> Login:
        """A login that opens nothing."""
        return Login("chaosbench", "secret", "chaosbench")

    async def snapshot(self, patience: float = PATIENCE_S) -> Snapshot:
        """The cluster now."""
        self._settle()
        up = self.states["pgpool1"] is RunState.RUNNING and self.leader is not None
        return Snapshot(
            members=tuple(self.member(name) for name in sorted(_ROLES)),
            nodes={name: self._view(name) for name in NODES},
            backends={"pgpool1": {name: self._backend(name) for name in NODES}} if up else {},
            etcd_leader="etcd1" if self.states["etcd1"] is RunState.RUNNING else None,
        )

    async def state(self, member: Member) -> RunState:
        """Whether the member runs."""
        return self.states[self._known(member)]

    async def kill(self, member: Member) -> None:
        """It is gone at once."""
        await self._act("kill", member, RunState.EXITED)

    async def start(self, member: Member) -> None:
        """It runs at once."""
        await self._act("start", member, RunState.RUNNING)

    async def pause(self, member: Member) -> None:
        """It freezes at once."""
        await self._act("pause", member, RunState.PAUSED)

    async def unpause(self, member: Member) -> None:
        """It goes on at once."""
        await self._act("unpause", member, RunState.RUNNING)

    async def stop(self, member: Member, grace: float) -> None:
        """It is gone at once."""
        if self.states[self._known(member)] is not RunState.EXITED:
            await self._act("stop", member, RunState.EXITED)

    async def restart(self, member: Member, grace: float) -> None:
        """It runs at once; what was stationed beside it is gone."""
        await self._act("restart", member, RunState.RUNNING)

    async def switchover(self, leader: Member, candidate: Member | None) -> None:
        """The candidate, or the first other node that runs, leads at once."""
        await self._call("switchover", leader)
        others = [name for name in self._electable() if name != leader.name]
        if leader.name != self.leader or not others or (candidate is not None and candidate.name not in others):
            raise InjectionError(f"switchover from {leader.name}: no good candidates have been found")
        self._lead(candidate.name if candidate else others[0])

    async def forks(self) -> Mapping[int, int]:
        """It writes no WAL."""
        return {}

    async def proxy_address(self) -> Address:
        """Where no one listens."""
        return Address("127.0.0.1", 9999)

    async def proxy_settings(self) -> Mapping[str, str]:
        """Two of Pgpool's settings."""
        return {"num_init_children": "260", "reserved_connections": "10"}

    async def settings(self) -> Mapping[str, str]:
        """One of Patroni's and one of Pgpool's."""
        return {"patroni.ttl": "20", "pgpool.num_init_children": "260"}

    async def containers(self) -> Mapping[str, str]:
        """Every member's container."""
        return {f"fake-{name}": self.member(name).container_id for name in _ROLES}

    async def lacks(self, need: Need) -> str | None:
        """What the test says of it, in ``missing``."""
        return self.missing.get(need)

    async def happenings(self) -> AsyncGenerator[Happening, None]:
        """Nothing, ever."""
        await asyncio.Event().wait()
        yield Happening("", "", 0)

    async def statistics(self, member: Member) -> AsyncGenerator[ContainerSample | None, None]:
        """A tenth of a core and 64 MiB while it runs; a frozen one uses no CPU."""
        cpu_ns = 0
        while True:
            await self._clock.sleep(1.0)
            state = self.states[member.name]
            if state in (RunState.EXITED, RunState.RESTARTING):
                cpu_ns = 0
                yield None
                continue
            cpu_ns += 100_000_000 * (state is RunState.RUNNING)
            yield ContainerSample(self._clock.now(), cpu_ns, 64 << 20, cpu_ns // 1000, cpu_ns // 500, cpu_ns, cpu_ns)

    async def close(self) -> None:
        """Remembered in ``closed``."""
        self.closed = True

    def member(self, name: str) -> Member:
        """A member as it is now."""
        return Member(name=name, role=_ROLES[name], container_id=f"id-of-{name}", state=self.states[name])

    async def _call(self, verb: str, member: Member) -> str:
        name = self._known(member)
        self.calls.append((verb, name))
        await self._clock.sleep(self.takes)
        if self.failures.get(verb):
            raise self.failures[verb].pop(0)
        self._settle()
        return name

    async def _act(self, verb: str, member: Member, state: RunState) -> None:
        name = await self._call(verb, member)
        if verb in ("kill", "pause") and self.states[name] is RunState.EXITED:
            raise FaultError(f"docker {verb} {name}: it is not running")
        self.states[name] = state
        self._settle()

    def _known(self, member: Member) -> str:
        if member.name not in _ROLES or member.container_id != f"id-of-{member.name}":
            raise TargetError(f"container {member.container_id} does not carry chaosbench's label")
        return member.name

    def _settle(self) -> None:
        """Bring about what the time since the last call has brought about."""
        now = self._clock.now()
        etcd_up = self.states["etcd1"] is RunState.RUNNING
        self._etcd_lost_since = None if etcd_up else _first(self._etcd_lost_since, now)
        leader_up = self.leader is not None and self.states[self.leader] is RunState.RUNNING
        if self._etcd_lost_since is not None and now - self._etcd_lost_since >= to_ns(self.demote_after):
            self.leader = None
        if leader_up and self.leader is not None:
            self._leaderless_since = None
            return
        # An election needs etcd the whole time: without it the wait begins anew.
        self._leaderless_since = _first(self._leaderless_since, now) if etcd_up else None
        overdue = self._leaderless_since is not None and now - self._leaderless_since >= to_ns(self.failover_delay)
        if overdue and self._electable():
            self._lead(self._electable()[0])

    def _lead(self, name: str) -> None:
        self.leader = name
        self.timeline += 1
        self._leaderless_since = None

    def _electable(self) -> list[str]:
        return [name for name in NODES if self.states[name] is RunState.RUNNING]

    def _view(self, name: str) -> NodeView:
        if self.states[name] is not RunState.RUNNING or name in self.silent:
            return NodeView()
        etcd_up = self.states["etcd1"] is RunState.RUNNING
        if name == self.leader:
            streaming = tuple(n for n in NODES if n != name and self.states[n] is RunState.RUNNING)
            return NodeView("leader", "running", self.timeline, streaming, etcd_up)
        fed = self.leader is not None and self.states[self.leader] is RunState.RUNNING
        return NodeView(
            "replica", "streaming" if fed else "running", self.timeline, (), etcd_up, sync=name == self.sync
        )

    def _backend(self, name: str) -> BackendView:
        up = self.states[name] is RunState.RUNNING
        return BackendView("up" if up else "down", "primary" if name == self.leader else "standby")


def _first(earlier: int | None, now: int) -> int:
    return now if earlier is None else earlier
