"""A member's disk is full, for real: on a lab whose members have small disks of their own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaosbench.cluster.docker import DockerCluster
from chaosbench.errors import InjectionError
from chaosbench.injectors.disk_fill import DiskFill
from chaosbench.model.cluster import Member
from chaosbench.model.faults import Need
from tests.live.conftest import docker, sql
from tests.live.faulting import hitting, target_of
from tests.live.ownlab import own_lab

pytestmark = [pytest.mark.live, pytest.mark.asyncio]

MB = 1024**2


@pytest.fixture(scope="module")
def lab_directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """In the place of the usual lab."""
    with own_lab(tmp_path_factory.mktemp("lab"), "smalldisk", "compose.smalldisk.yaml") as directory:
        yield directory


def disk(member: Member) -> tuple[int, int]:
    """Used and all bytes of the disk of its data, as df tells."""
    words = ("df", "--block-size=1", "--output=used,size", "/data")
    used, size = docker("exec", member.container_id, *words).splitlines()[1].split()
    return int(used), int(size)


def received(member: Member) -> int:
    """Bytes of WAL that it has on its disk."""
    return int(sql(member, "SELECT pg_last_wal_receive_lsn() - '0/0'"))


def written(leader: Member) -> int:
    return int(sql(leader, "SELECT pg_current_wal_flush_lsn() - '0/0'"))


def write(leader: Member, megabytes: int) -> None:
    sql(
        leader,
        f"SELECT count(pg_logical_emit_message(false, 'live', repeat('x', {MB}))) FROM generate_series(1, {megabytes})",
    )
    sql(leader, "SELECT pg_switch_wal()")


async def test_a_replica_whose_disk_is_full_stops_streaming(cluster: DockerCluster):
    assert await cluster.lacks(Need.OWN_DISK) is None
    fault = DiskFill(target="replica", hold="60s")
    member = await target_of(fault, cluster)
    leader = (await cluster.snapshot()).leader
    assert leader is not None
    hosts = docker("exec", member.container_id, "df", "--block-size=1", "--output=used", "/etc/hosts")
    before, size = disk(member)
    async with hitting(fault, cluster, member):
        used, _ = disk(member)
        assert size - used < 16 * MB, "not even one segment of WAL has room"
        write(leader, 64)
        end = written(leader)
        await asyncio.sleep(5)
        assert await asyncio.to_thread(lag, member, end) > 16 * MB, "it has nowhere to put them"
        after = docker("exec", member.container_id, "df", "--block-size=1", "--output=used", "/etc/hosts")
        assert abs(int(after.split()[1]) - int(hosts.split()[1])) < 512 * MB, "the machine's own disk is left alone"
    assert ".chaosbench" not in docker("exec", member.container_id, "ls", "-A", "/data")
    deadline = time.monotonic() + 60
    while await asyncio.to_thread(lag, member, end) > 0:
        assert time.monotonic() < deadline, "it does not catch up"
        await asyncio.sleep(0.5)
    assert disk(member)[0] < before + 200 * MB


def lag(member: Member, end: int) -> int:
    """Bytes that it lacks; all of them while its server does not answer."""
    try:
        return end - received(member)
    except Exception:  # psql's own failure: the server is down, or starts
        return end


async def test_a_share_and_what_is_fuller_already(cluster: DockerCluster):
    fault = DiskFill(target="replica", share="60%", path="/data/pgdata")
    member = await target_of(fault, cluster)
    async with hitting(fault, cluster, member):
        used, size = disk(member)
        assert 0.59 <= used / size <= 0.62
        with pytest.raises(InjectionError, match=r"/data of pg\d is fuller than 40% already"):
            async with hitting(DiskFill(target="replica", share="40%"), cluster, member):
                pytest.fail("the block must not run")
    assert disk(member)[0] / size < 0.55
