"""Faults of processor, memory, disk and clock: seen from outside while they last, and nothing of them left after."""

from __future__ import annotations

import asyncio
import time

import pytest

from chaosbench.cluster.docker import DockerCluster
from chaosbench.errors import InjectionError
from chaosbench.injectors import Injector, background, slow_fsync
from chaosbench.injectors.clock_skew import ClockSkew
from chaosbench.injectors.cpu_burn import CpuBurn
from chaosbench.injectors.cpu_quota import CpuQuota
from chaosbench.injectors.disk_fill import DiskFill
from chaosbench.injectors.io_throttle import IoThrottle
from chaosbench.injectors.memory_squeeze import MemorySqueeze
from chaosbench.injectors.shm_fill import ShmFill
from chaosbench.injectors.slow_fsync import SlowFsync
from chaosbench.model.faults import Need
from tests.live.conftest import docker, helpers_of, sql
from tests.live.faulting import block_limits, control_group, flush_ms, hitting, host_config, processes, target_of

pytestmark = [pytest.mark.live, pytest.mark.asyncio]


async def require(cluster: DockerCluster, fault: Injector) -> None:
    """Skip, for the reason that the preflight gives, what this machine or this lab cannot do."""
    for need in fault.needs:
        if (reason := await cluster.lacks(need)) is not None:
            pytest.skip(f"{fault.kind}: {reason}")


async def test_a_cpu_quota_is_lowered_and_put_back(cluster: DockerCluster):
    fault = CpuQuota(target="replica", cpus=0.5)
    member = await target_of(fault, cluster)
    before = host_config(member)
    async with hitting(fault, cluster, member):
        assert host_config(member)["NanoCpus"] == 500_000_000
        assert quota(member) == pytest.approx(0.5)
    assert host_config(member) == before
    assert quota(member) == pytest.approx(before["NanoCpus"] / 1e9)


def quota(member) -> float:
    """Processors' worth of time, as the kernel has it."""
    group = control_group(member, "cpu")
    if (group / "cpu.max").exists():
        limit, period = (group / "cpu.max").read_text().split()
    else:
        limit, period = (group / "cpu.cfs_quota_us").read_text(), (group / "cpu.cfs_period_us").read_text()
    return int(limit) / int(period)


async def test_a_memory_limit_is_lowered_and_put_back(cluster: DockerCluster):
    fault = MemorySqueeze(target="pgpool", to="1GB")
    member = await target_of(fault, cluster)
    before = host_config(member)
    async with hitting(fault, cluster, member):
        assert memory(member) == 1024**3
        assert host_config(member)["MemorySwap"] == 1024**3
    assert host_config(member) == before
    assert memory(member) == before["Memory"]


def memory(member) -> int:
    group = control_group(member, "memory")
    file = next(path for name in ("memory.max", "memory.limit_in_bytes") if (path := group / name).exists())
    return int(file.read_text())


async def test_busy_processes_burn_and_are_gone(cluster: DockerCluster):
    fault = CpuBurn(target="etcd", processes=3)
    async with hitting(fault, cluster) as member:
        deadline = time.monotonic() + 10
        while processes(member, "while :; do :; done chaosbench-cpu-burn") != 6:  # a shell each, with a timeout around
            assert time.monotonic() < deadline
            await asyncio.sleep(0.1)
        began = used_s(member)
        await asyncio.sleep(2)
        assert used_s(member) - began > 0.1
    assert processes(member, "chaosbench-cpu-burn") == 0


def used_s(member) -> float:
    group = control_group(member, "cpuacct")
    if (group / "cpuacct.usage").exists():
        return int((group / "cpuacct.usage").read_text()) / 1e9
    stat = dict(line.split() for line in (group / "cpu.stat").read_text().splitlines())
    return int(stat["usage_usec"]) / 1e6


async def test_what_nobody_heals_ends_by_itself(cluster: DockerCluster):
    member = await target_of(CpuBurn(target="etcd"), cluster)
    mark = "chaosbench-expires"
    await background.start(cluster, member, mark, ["sh", "-c", "while :; do sleep 0.1; done", mark], 2)
    assert processes(member, mark) > 0
    deadline = time.monotonic() + 20
    while processes(member, mark):
        assert time.monotonic() < deadline, "it runs on"
        await asyncio.sleep(0.5)
    await background.end(cluster, member, mark)


async def test_shared_memory_is_filled_and_emptied(cluster: DockerCluster):
    fault = ShmFill(target="replica", share="95%")
    member = await target_of(fault, cluster)
    before = used(member)
    async with hitting(fault, cluster, member):
        assert 0.94 <= used(member)[0] / used(member)[1] <= 0.96
    assert used(member)[1] == before[1]
    assert used(member)[0] <= before[0] + 1024, "only what the server itself uses"
    assert ".chaosbench" not in docker("exec", member.container_id, "ls", "-A", "/dev/shm")


def used(member) -> tuple[int, int]:
    """Used and all kB of the member's shared memory, as df tells."""
    line = docker("exec", member.container_id, "df", "-k", "--output=used,size", "/dev/shm").splitlines()[1]
    first, second = line.split()
    return int(first), int(second)


async def test_a_file_system_of_the_host_is_not_filled(cluster: DockerCluster):
    if await cluster.lacks(Need.OWN_DISK) is None:
        pytest.skip("this lab has small disks: see test_small_disk.py")
    with pytest.raises(
        InjectionError, match=r"disk-fill: /data of pg\d lies on a file system that it shares with the host"
    ):
        async with hitting(DiskFill(target="replica"), cluster):
            pytest.fail("the block must not run")


async def test_a_disk_is_throttled_and_let_go(cluster: DockerCluster):
    fault = IoThrottle(target="leader", write="512kB/s", read_operations="100/s")
    await require(cluster, fault)
    member = await target_of(fault, cluster)
    before, quick = block_limits(member), min(flush_ms(member, 2**20) for _ in range(3))
    async with hitting(fault, cluster, member):
        assert block_limits(member) != before
        slow = flush_ms(member, 2**20)
        assert slow > 1000, "a MB of WAL takes two seconds at 512 kB/s"
        assert slow > 2 * quick
    assert block_limits(member) == before


async def test_fsync_is_slow_while_it_is_traced(cluster: DockerCluster):
    fault = SlowFsync(target="leader", delay="400ms")
    await require(cluster, fault)
    member = await target_of(fault, cluster)
    before = min(flush_ms(member) for _ in range(3))
    async with hitting(fault, cluster, member):
        assert min(flush_ms(member) for _ in range(3)) >= 400
        assert before < 200
    assert min(flush_ms(member) for _ in range(5)) < 200
    traced = docker("exec", member.container_id, "sh", "-c", "grep -h TracerPid /proc/[0-9]*/status")
    assert set(traced.split()) == {"TracerPid:", "0"}


async def test_a_tracer_that_nobody_sends_away_goes_by_itself(cluster: DockerCluster, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(slow_fsync, "MARGIN_S", 1)
    fault = SlowFsync(target="leader", delay="100ms", hold="1s")
    await require(cluster, fault)
    member = await target_of(fault, cluster)
    await fault.inject(cluster, member, await fault.look(cluster, member))
    deadline = time.monotonic() + 20
    while helpers_of(member):
        assert time.monotonic() < deadline, "it stays"
        await asyncio.sleep(0.3)
    traced = docker("exec", member.container_id, "sh", "-c", "grep -h TracerPid /proc/[0-9]*/status")
    assert set(traced.split()) == {"TracerPid:", "0"}
    assert sql(member, "SELECT 1") == "1"


async def test_a_clock_is_wrong_and_right_again(cluster: DockerCluster):
    fault = ClockSkew(target="replica", offset="-5m")
    await require(cluster, fault)
    member = await target_of(fault, cluster)
    assert abs(ahead_s(member)) < 5
    async with hitting(fault, cluster, member):
        await asyncio.sleep(1.5)
        assert ahead_s(member) == pytest.approx(-300, abs=5)
    await asyncio.sleep(1.5)
    assert abs(ahead_s(member)) < 5


def ahead_s(member) -> float:
    return float(sql(member, "SELECT extract(epoch FROM clock_timestamp())")) - time.time()
