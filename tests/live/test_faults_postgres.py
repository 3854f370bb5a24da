"""Faults by SQL: seen by another path while they last, and nothing of them left after."""

from __future__ import annotations

import asyncio
import time

import psycopg
import pytest

from chaosbench.cluster.docker import DockerCluster
from chaosbench.errors import InjectionError
from chaosbench.injectors.checkpoint_storm import CheckpointStorm
from chaosbench.injectors.connection_exhaustion import ConnectionExhaustion
from chaosbench.injectors.long_lock import LongLock
from chaosbench.injectors.terminate_backends import TerminateBackends
from chaosbench.injectors.wal_flood import WalFlood
from chaosbench.model.cluster import Member
from tests.live.conftest import sql
from tests.live.faulting import hitting, processes, target_of

pytestmark = [pytest.mark.live, pytest.mark.asyncio]

TABLE = "fault_tested"


def client(cluster: DockerCluster, member: Member, name: str = "a-client") -> psycopg.Connection:
    """A client of the application, straight to the node."""
    login, address = cluster.login, member.ports["sql"]
    return psycopg.connect(
        host=address.host,
        port=address.port,
        user=login.user,
        password=login.password,
        dbname=login.database,
        application_name=name,
        connect_timeout=20,
        autocommit=True,
    )


def sessions(member: Member, name: str) -> int:
    return int(sql(member, f"SELECT count(*) FROM pg_stat_activity WHERE application_name = '{name}'"))


def left_over(member: Member) -> int:
    """Sessions and processes of faults."""
    names = ("long-lock", "wal-flood", "checkpoint-storm", "terminate-backends", "connection-exhaustion")
    return sum(sessions(member, f"chaosbench-{name}") + processes(member, f"chaosbench-{name}") for name in names)


@pytest.mark.parametrize(("lock", "mode"), [("table", "AccessExclusiveLock"), ("rows", "RowShareLock")])
async def test_a_lock_is_held_and_released(cluster: DockerCluster, lock: str, mode: str):
    fault = LongLock(table=TABLE, lock=lock, database="postgres")
    member = await target_of(fault, cluster)
    sql(member, f"CREATE TABLE IF NOT EXISTS {TABLE} AS SELECT 1 AS i")
    locks = f"SELECT mode FROM pg_locks WHERE relation = '{TABLE}'::regclass AND granted"
    change = f"SET statement_timeout = '400ms'; UPDATE {TABLE} SET i = i"
    async with hitting(fault, cluster, member):
        assert sql(member, locks) == mode
        with pytest.raises(Exception, match="non-zero exit status"):
            sql(member, change)
    assert sql(member, locks) == ""
    sql(member, change)
    assert left_over(member) == 0
    sql(member, f"DROP TABLE {TABLE}")


async def test_a_lock_on_a_table_that_is_not_there_is_refused(cluster: DockerCluster):
    fault = LongLock(table="no_such_table")
    member = await target_of(fault, cluster)
    with pytest.raises(InjectionError, match='relation "no_such_table" does not exist'):
        async with hitting(fault, cluster, member):
            pytest.fail("the block must not run")
    assert left_over(member) == 0


async def test_client_sessions_are_ended_and_no_others(cluster: DockerCluster):
    fault = TerminateBackends(target="replica", application="victim")
    member = await target_of(fault, cluster)
    with client(cluster, member, "victim") as victim, client(cluster, member, "bystander") as bystander:
        async with hitting(fault, cluster, member):
            with pytest.raises(psycopg.errors.AdminShutdown):
                victim.execute("SELECT 1")
        bystander.execute("SELECT 1")
        victim.close()


async def test_client_sessions_are_ended_again_and_again(cluster: DockerCluster):
    fault = TerminateBackends(target="replica", application="victim", interval="200ms", hold="15s")
    member = await target_of(fault, cluster)
    async with hitting(fault, cluster, member):
        for _ in range(3):
            victim = client(cluster, member, "victim")
            with pytest.raises(psycopg.OperationalError):
                victim.execute("SELECT pg_sleep(20)")
            victim.close()
    with client(cluster, member, "victim") as spared:
        spared.execute("SELECT pg_sleep(0.5)")
    assert left_over(member) == 0


async def test_no_connection_is_left(cluster: DockerCluster):
    fault = ConnectionExhaustion(target="replica")
    member = await target_of(fault, cluster)
    async with hitting(fault, cluster, member):
        with pytest.raises(psycopg.OperationalError, match="remaining connection slots are reserved"):
            client(cluster, member)
        assert sessions(member, "chaosbench-connection-exhaustion") > 50, "and a superuser gets in to see that"
    assert left_over(member) == 0
    client(cluster, member).close()


async def test_some_connections_are_held(cluster: DockerCluster):
    fault = ConnectionExhaustion(target="replica", connections=5)
    async with hitting(fault, cluster) as member:
        assert sessions(member, "chaosbench-connection-exhaustion") == 5
        client(cluster, member).close()
    assert left_over(member) == 0


async def test_checkpoints_come_one_after_another(cluster: DockerCluster):
    fault = CheckpointStorm(interval="100ms")
    member = await target_of(fault, cluster)
    requested = "SELECT num_requested FROM pg_stat_checkpointer"
    async with hitting(fault, cluster, member):
        before = int(sql(member, requested))
        deadline = time.monotonic() + 20
        while int(sql(member, requested)) < before + 3:
            assert time.monotonic() < deadline, "no checkpoint was asked for"
            await asyncio.sleep(0.5)
    assert left_over(member) == 0
    after = int(sql(member, requested))
    await asyncio.sleep(1)
    assert int(sql(member, requested)) <= after + 1


async def test_wal_floods_at_a_rate_and_stops(cluster: DockerCluster):
    fault = WalFlood(rate="4MB/s", hold="3s")
    member = await target_of(fault, cluster)
    began = wal_bytes(member)
    async with hitting(fault, cluster, member):
        await asyncio.sleep(3)
        written = wal_bytes(member) - began
    assert written > 2 * 2**20
    assert left_over(member) == 0
    after = wal_bytes(member)
    assert after - began < 16 * 2**20, "rate times hold, and what else goes on"
    await asyncio.sleep(1)
    assert wal_bytes(member) - after < 2**20


def wal_bytes(member: Member) -> int:
    return int(sql(member, "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint"))


async def test_wal_cannot_be_written_on_a_replica(cluster: DockerCluster):
    with pytest.raises(InjectionError, match="cannot make new WAL entries during recovery"):
        async with hitting(WalFlood(target="replica", hold="3s"), cluster):
            pytest.fail("the block must not run")
