"""Faults of processor, memory, disk and clock against the fake cluster: what is looked at, changed, and put back."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from chaosbench.clock import Clock
from chaosbench.cluster.fake import FakeCluster
from chaosbench.errors import FaultError, InjectionError
from chaosbench.injectors import Injector, background
from chaosbench.injectors.clock_skew import ClockSkew
from chaosbench.injectors.cpu_burn import CpuBurn
from chaosbench.injectors.cpu_quota import CpuQuota
from chaosbench.injectors.disk_fill import DiskFill
from chaosbench.injectors.io_throttle import IoThrottle
from chaosbench.injectors.memory_squeeze import MemorySqueeze
from chaosbench.injectors.shm_fill import ShmFill
from chaosbench.injectors.slow_fsync import SlowFsync
from chaosbench.model.cluster import Executed, Helper, Member, RunState
from chaosbench.model.faults import Need

pytestmark = pytest.mark.asyncio

MB = 1024**2
FAULTS = sorted(Path(background.__file__).parent.glob("*.py"))


def cluster_with(**host: int) -> FakeCluster:
    cluster = FakeCluster(Clock())
    cluster.inspections["pg2"] = {
        "HostConfig": {"NanoCpus": 10**9, "Memory": 4096 * MB, "MemorySwap": 8192 * MB, **host}
    }
    return cluster


async def test_a_cpu_quota_goes_down_and_back():
    cluster, fault = cluster_with(), CpuQuota(target="pg2", cpus=0.25)
    member = cluster.member("pg2")
    before = await fault.look(cluster, member)
    assert await fault.present(cluster, member, before) is False
    await fault.inject(cluster, member, before)
    assert cluster.inspections["pg2"]["HostConfig"]["NanoCpus"] == 250_000_000
    assert await fault.present(cluster, member, before) is True
    await fault.heal(cluster, member, before)
    await fault.heal(cluster, member, before)
    assert cluster.inspections["pg2"]["HostConfig"]["NanoCpus"] == 10**9
    assert [verb for verb, _ in cluster.calls] == ["limit", "limit"], "healed once is healed"
    assert fault.remedy(member, before) == "docker update --cpus 1 id-of-pg2"


@pytest.mark.parametrize(("nano", "said"), [(0, "has no processor limit"), (200_000_000, "has 0.2 cpus already")])
async def test_a_cpu_quota_that_could_not_be_put_back_is_refused(nano: int, said: str):
    cluster = cluster_with(NanoCpus=nano)
    with pytest.raises(InjectionError, match=said):
        await CpuQuota(target="pg2", cpus=0.25).look(cluster, cluster.member("pg2"))


async def test_memory_is_squeezed_to_a_share_of_what_is_used_and_both_limits_come_back():
    cluster, fault = cluster_with(), MemorySqueeze(target="pg2", share=0.5)
    cluster.answer = lambda name, command: Executed(0, f"{600 * MB}\n")
    member = cluster.member("pg2")
    before = await fault.look(cluster, member)
    await fault.inject(cluster, member, before)
    host = cluster.inspections["pg2"]["HostConfig"]
    assert (host["Memory"], host["MemorySwap"]) == (300 * MB, 300 * MB)
    await fault.heal(cluster, member, before)
    host = cluster.inspections["pg2"]["HostConfig"]
    assert (host["Memory"], host["MemorySwap"]) == (4096 * MB, 8192 * MB)


async def test_a_memory_limit_that_the_kernel_refuses_is_one_clear_line():
    cluster, fault = cluster_with(), MemorySqueeze(target="pg2", to="64MB")
    member = cluster.member("pg2")
    before = await fault.look(cluster, member)
    cluster.failures["limit"] = [FaultError("docker update pg2: device or resource busy")]
    with pytest.raises(InjectionError, match=r"cannot do with 67108864 bytes now.*device or resource busy"):
        await fault.inject(cluster, member, before)
    assert not await fault.present(cluster, member, before)


async def test_memory_without_a_limit_or_for_more_than_it_is_refused():
    with pytest.raises(InjectionError, match="has no memory limit"):
        await MemorySqueeze(target="pg2", to="64MB").look(cluster_with(Memory=0), cluster_with().member("pg2"))
    with pytest.raises(InjectionError, match="the new limit must be lower"):
        await MemorySqueeze(target="pg2", to="8GB").look(cluster_with(), cluster_with().member("pg2"))
    with pytest.raises(ValidationError, match="either 'to' or 'share'"):
        MemorySqueeze(target="pg2", to="8GB", share=0.5)


async def test_busy_processes_carry_their_mark_and_their_end():
    cluster, fault = FakeCluster(Clock()), CpuBurn(target="pg2", processes=3, hold="5s")
    member = cluster.member("pg2")
    await fault.inject(cluster, member, {})
    (_, words), *_ = cluster.executed
    assert words[4:7] == ("3", f"{5 + background.MARGIN_S:g}", "/tmp/chaosbench-cpu-burn.log")
    assert words[-1] == "chaosbench-cpu-burn"
    cluster.answer = lambda name, command: Executed(0, "6\n")
    assert await fault.present(cluster, member, {}) is True
    await fault.heal(cluster, member, {})
    script = cluster.executed[-1][1][-1]
    assert "chaosbench-cpu-burn" not in script, "the killing shell would find itself"
    cluster.states["pg2"] = RunState.EXITED
    assert await fault.present(cluster, member, {}) is False
    await fault.heal(cluster, member, {})


MOUNTS = [{"Destination": "/data", "Type": "volume"}, {"Destination": "/data/secrets", "Type": "bind"}]


@pytest.mark.parametrize(
    ("fault", "where", "refused"),
    [
        (ShmFill(target="pg2"), "own /dev/shm 1000 900 4096", False),
        (DiskFill(target="pg2"), "own /data 1000 900 4096", False),
        (DiskFill(target="pg2"), "shared /data 1000 900 4096", True),
        (DiskFill(target="pg2", path="/data/secrets"), "own /data/secrets 1000 900 4096", True),
        (DiskFill(target="pg2"), "shared / 1000 900 4096", True),
    ],
)
async def test_only_a_file_system_of_ones_own_is_filled(fault: Injector, where: str, refused: bool):
    cluster = FakeCluster(Clock())
    cluster.inspections["pg2"] = {"HostConfig": {"IpcMode": "private"}, "Mounts": MOUNTS}
    cluster.answer = lambda name, command: Executed(0, where)
    member = cluster.member("pg2")
    if refused:
        with pytest.raises(InjectionError, match="shares with the host"):
            await fault.look(cluster, member)
    else:
        assert await fault.look(cluster, member) == {"mount": where.split()[1]}


async def test_a_disk_that_is_to_be_filled_must_be_there_before_the_run_begins():
    assert DiskFill.needs == {Need.OWN_DISK}
    assert ShmFill.needs == frozenset()
    with pytest.raises(ValidationError, match="path"):
        DiskFill(target="pg2", path="/dev/shm")


async def test_a_disk_that_is_full_already_is_left_alone_and_the_reserve_goes_first():
    cluster = FakeCluster(Clock())
    cluster.inspections["pg2"] = {"HostConfig": {"IpcMode": "private"}}
    cluster.answer = lambda name, command: Executed(0, "own /dev/shm 1000 40 4096")
    fault, member = ShmFill(target="pg2", share="95%"), cluster.member("pg2")
    with pytest.raises(InjectionError, match="fuller than 95% already"):
        await fault.look(cluster, member)
    await fault.heal(cluster, member, {"mount": "/dev/shm"})
    assert cluster.executed[-1][1] == ("rm", "-f", "/dev/shm/.chaosbench-reserve", "/dev/shm/.chaosbench-fill")


async def test_limits_of_a_disk_come_back_one_by_one():
    limits = {"read_bps": 0, "write_bps": 77, "read_iops": 0, "write_iops": 0}

    def answer(name: str, command: tuple[str, ...]) -> Executed:
        if "mountinfo" in command[2]:
            return Executed(0, "254:0\n")
        limits.update((key, int(value)) for key, value in (word.split("=") for word in command[6:]))
        return Executed(0, " ".join(f"{key}={value}" for key, value in limits.items()))

    cluster = FakeCluster(Clock())
    cluster.answer = answer
    fault, member = IoThrottle(target="pg2", write="1MB/s", read_operations="100/s"), cluster.member("pg2")
    before = await fault.look(cluster, member)
    await fault.inject(cluster, member, before)
    assert limits == {"read_bps": 0, "write_bps": MB, "read_iops": 100, "write_iops": 0}
    assert await fault.present(cluster, member, before) is True
    await fault.heal(cluster, member, before)
    await fault.heal(cluster, member, before)
    assert limits == before["limits"] == {"read_bps": 0, "write_bps": 77, "read_iops": 0, "write_iops": 0}


async def test_a_path_that_is_on_no_disk_is_refused():
    cluster = FakeCluster(Clock())
    cluster.answer = lambda name, command: Executed(1, "it is not on a block device\n")
    with pytest.raises(InjectionError, match="/data of pg2: it is not on a block device"):
        await IoThrottle(target="pg2").look(cluster, cluster.member("pg2"))


async def test_the_tracer_is_stationed_with_one_right_and_dismissed():
    cluster = FakeCluster(Clock())
    cluster.answer = lambda name, command: Executed(0 if cluster.stations else 1, "")
    fault, member = SlowFsync(target="pg2", delay="200ms"), cluster.member("pg2")
    before = await fault.look(cluster, member)
    await fault.inject(cluster, member, before)
    ((name, helper),) = cluster.stations.values()
    assert (name, helper.pid, helper.network, helper.capabilities) == ("pg2", True, False, ("SYS_PTRACE",))
    assert "delay_enter=200000us" in helper.command[2]
    assert await fault.present(cluster, member, before) is True
    with pytest.raises(InjectionError, match="traced by something else already"):
        await fault.look(cluster, member)
    await fault.heal(cluster, member, before)
    assert not cluster.stations


async def test_the_tracer_goes_by_itself(tmp_path: Path):
    """The helper's own script, run for real with a tracer that would never end."""
    cluster, lifetimes = FakeCluster(Clock()), []
    cluster.answer = lambda name, command: Executed(0, "")
    station = cluster.station

    async def watched(member: Member, helper: Helper, name: str, lifetime: float) -> None:
        lifetimes.append(lifetime)
        await station(member, helper, name, lifetime)

    cluster.station = watched  # type: ignore[method-assign]
    fault, member = SlowFsync(target="pg2", hold="5s"), cluster.member("pg2")
    await fault.inject(cluster, member, {"helper": "slow-fsync-pg2"})
    assert lifetimes == [5 + background.MARGIN_S]
    (helper,) = cluster.stations.values()
    for name, text in (("pgrep", "echo 7"), ("strace", "exec sleep 60")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "CHAOSBENCH_LIFETIME": "0.2"}
    ended = await asyncio.to_thread(subprocess.run, helper[1].command, env=environment, timeout=10)
    assert ended.returncode == 124, "ended by its time"


async def test_no_other_fault_lives_in_a_helper():
    """One that does shows, as these, that its helper ends it: here, and in test_injector_network.py."""
    assert {path.name for path in FAULTS if ".station(" in path.read_text()} == {"beside.py", "slow_fsync.py"}


async def test_a_clock_is_put_back_to_what_the_file_said():
    file = {"text": ""}

    def answer(name: str, command: tuple[str, ...]) -> Executed:
        if len(command) > 4:
            file["text"] = command[4]
        return Executed(0, file["text"])

    cluster = FakeCluster(Clock())
    cluster.answer = answer
    fault, member = ClockSkew(target="pg2", offset="-1m30s"), cluster.member("pg2")
    before = await fault.look(cluster, member)
    await fault.inject(cluster, member, before)
    assert file["text"] == "-90"
    assert await fault.present(cluster, member, before) is True
    await fault.heal(cluster, member, before)
    assert file["text"] == ""
    assert await fault.present(cluster, member, before) is False


@pytest.mark.parametrize(("text", "seconds"), [("5m", 300), ("+5m", 300), ("-250ms", -0.25)])
async def test_offsets_have_signs(text: str, seconds: float):
    assert ClockSkew(target="pg2", offset=text).offset == seconds


@pytest.mark.parametrize(
    ("cls", "settings", "said"),
    [
        (ClockSkew, {"offset": "0s"}, "an offset of 0 is no fault"),
        (IoThrottle, {"write": "1MB"}, "not a throughput"),
        (MemorySqueeze, {"to": "1 gig"}, "is not a size"),
        (DiskFill, {"path": "/data; rm -rf /"}, "match pattern"),
        (CpuQuota, {"cpus": 0}, "greater than or equal to 0.01"),
    ],
)
async def test_bad_settings(cls: type, settings: dict, said: str):
    with pytest.raises(ValidationError, match=said):
        TypeAdapter(cls).validate_python({"target": "pg2", **settings})
