"""Pgpool follows Patroni with no human hand, after each of the three ways in which a leader is lost.

Writes through Pgpool are back within 30 s of the moment that Patroni has a
leader again, and every backend is up and streaming within 60 s.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from chaosbench import postgres
from chaosbench.clock import Clock, to_ns, to_s
from chaosbench.cluster.docker import DockerCluster
from chaosbench.cluster.health import await_healthy
from chaosbench.injectors.injection import Hands, injected
from chaosbench.injectors.kill import Kill
from chaosbench.injectors.pause import Pause
from chaosbench.injectors.switchover import Switchover
from chaosbench.model.cluster import Address, Role, Snapshot
from tests.live.conftest import docker

pytestmark = [pytest.mark.live, pytest.mark.asyncio]

CLOCK = Clock()
WRITES_BACK_S = 30.0
WHOLE_AGAIN_S = 60.0


class Writer:
    """Writes through Pgpool all the time, each write on a new connection, and remembers those acknowledged."""

    def __init__(self, cluster: DockerCluster) -> None:
        self._cluster = cluster
        self.acknowledged: list[tuple[int, int]] = []
        """Start and end of each, in nanoseconds."""

    async def run(self) -> None:
        address = await self._cluster.proxy_address()
        while True:
            start = CLOCK.now()
            try:
                await self._write(address)
                self.acknowledged.append((start, CLOCK.now()))
            except postgres.QueryError:
                pass
            await CLOCK.sleep(0.1)

    async def back_after(self, moment_ns: int) -> float:
        """Seconds from ``moment_ns`` until a write that began after it was acknowledged; fails when time runs out."""
        while CLOCK.now() < moment_ns + to_ns(WRITES_BACK_S):
            ends = [end for start, end in self.acknowledged if start > moment_ns]
            if ends:
                return to_s(ends[0] - moment_ns)
            await CLOCK.sleep(0.05)
        pytest.fail(f"no write through Pgpool within {WRITES_BACK_S:g} s of Patroni's new leader")

    async def _write(self, address: Address) -> None:
        sql = "INSERT INTO chaosbench_live_writes DEFAULT VALUES RETURNING id"
        await postgres.fetch(address, self._cluster.login, sql, timeout=2)


@asynccontextmanager
async def writing(cluster: DockerCluster) -> AsyncIterator[Writer]:
    """A writer for the length of the block; it has written once when the block begins."""
    table = "CREATE TABLE IF NOT EXISTS chaosbench_live_writes (id bigserial PRIMARY KEY)"
    async with postgres.connected(await cluster.proxy_address(), cluster.login, 10) as connection:
        await connection.execute(table)
    writer = Writer(cluster)
    task = asyncio.create_task(writer.run())
    try:
        await writer.back_after(CLOCK.now())
        yield writer
    finally:
        task.cancel()
        await asyncio.wait({task})


async def until(cluster: DockerCluster, seconds: float, holds: Callable[[Snapshot], bool], what: str) -> int:
    """The moment when a snapshot satisfies ``holds``."""
    deadline = CLOCK.now() + to_ns(seconds)
    while CLOCK.now() < deadline:
        if holds(await cluster.snapshot()):
            return CLOCK.now()
        await CLOCK.sleep(0.1)
    pytest.fail(f"{what}: not within {seconds:g} s")


async def assert_follows(cluster: DockerCluster, writer: Writer, leader_again_ns: int, whole_from_ns: int) -> None:
    back = await writer.back_after(leader_again_ns)
    left = WHOLE_AGAIN_S - to_s(CLOCK.now() - whole_from_ns)
    await await_healthy(cluster, CLOCK, left)
    print(f"writes back {back:.2f} s after the leader, whole {to_s(CLOCK.now() - whole_from_ns):.2f} s after")


async def test_after_the_leader_was_killed_and_started_again(cluster: DockerCluster):
    old = (await cluster.snapshot()).leader
    assert old is not None
    async with writing(cluster) as writer:
        async with injected("kill", Kill(target="leader"), [old], Hands(cluster, CLOCK)):
            leader_again = await until(cluster, 60, lambda s: s.leader not in (None, old), "another leader")
            await writer.back_after(leader_again)
            await CLOCK.sleep(5)
        await assert_follows(cluster, writer, leader_again, CLOCK.now())


async def test_after_etcd_was_frozen_for_30_s(cluster: DockerCluster):
    snapshot = await cluster.snapshot()
    etcd = snapshot.member("etcd1")
    assert etcd is not None
    async with writing(cluster) as writer:
        async with injected("freeze", Pause(target="etcd"), [etcd], Hands(cluster, CLOCK)) as injection:
            assert injection.injected_ns is not None
            demoted = await until(cluster, 29, lambda s: s.leader is None, "the leader steps down without etcd")
            assert not [1 for start, _ in writer.acknowledged if start > demoted], "a write without a leader"
            await CLOCK.sleep_until(injection.injected_ns + to_ns(30))
        leader_again = await until(cluster, 60, lambda s: s.leader is not None, "a leader after the thaw")
        await assert_follows(cluster, writer, leader_again, leader_again)


async def test_after_a_switchover(cluster: DockerCluster):
    old = (await cluster.snapshot()).leader
    assert old is not None
    async with writing(cluster) as writer:
        async with injected("switchover", Switchover(), [old], Hands(cluster, CLOCK)):
            pass
        leader_again = await until(cluster, 30, lambda s: s.leader not in (None, old), "another leader")
        await assert_follows(cluster, writer, leader_again, leader_again)


async def test_after_pgpool_lost_its_semaphores(cluster: DockerCluster):
    """What a child that is forked in the very moment of a failover does to it; done by hand here."""
    (pgpool,) = (await cluster.snapshot()).of(Role.PGPOOL)
    started = docker("inspect", "--format", "{{.State.StartedAt}}", pgpool.container_id)
    semaphores = "tail -n +2 /proc/sysvipc/sem | while read _key id _rest; do ipcrm -s $id; done"
    async with writing(cluster) as writer:
        docker("exec", "-u", "postgres", pgpool.container_id, "sh", "-c", semaphores)
        lost = CLOCK.now()
        deadline = lost + to_ns(20)
        while docker("inspect", "--format", "{{.State.StartedAt}}", pgpool.container_id) == started:
            assert CLOCK.now() < deadline, "a Pgpool without locks is put out of the way"
            await CLOCK.sleep(0.2)
        restarted = CLOCK.now()
        await assert_follows(cluster, writer, restarted, restarted)
