"""Faults of containers and of processes inside them, seen by the engine's own lists of processes and of starts."""

from __future__ import annotations

import random
import re

import pytest

from chaosbench.clock import Clock
from chaosbench.cluster.docker import DockerCluster
from chaosbench.injectors import Injector
from chaosbench.injectors.injection import Hands, injected
from chaosbench.injectors.restart import Restart
from chaosbench.injectors.signal import Signal
from chaosbench.injectors.stop import Stop
from chaosbench.injectors.targets import resolve
from chaosbench.model.cluster import Member
from tests.live.conftest import container_state, docker
from tests.live.faulting import until

pytestmark = [pytest.mark.live, pytest.mark.asyncio]

CLOCK = Clock()


async def of(fault: Injector, cluster: DockerCluster) -> Member:
    (member,) = resolve(fault.target, fault, await cluster.snapshot(), random.Random(1))
    return member


def processes(member: Member, pattern: str) -> dict[str, str]:
    """The machine's ids of a container's processes whose command line matches, to the first letter of their state."""
    rows = [line.split(None, 2) for line in docker("top", member.container_id, "-eo", "pid,stat,args").splitlines()[1:]]
    return {pid: state[0] for pid, state, command in rows if re.search(pattern, command)}


@pytest.mark.parametrize(
    ("target", "process", "pattern"),
    [
        ("replica", "postmaster", r"bin/postgres -D"),
        ("replica", "patroni", r"bin/patroni "),
        ("replica", "walreceiver", r"^postgres: .*walreceiver"),
        ("replica", "startup", r"^postgres: .*startup"),
        ("replica", r"rejoin\.py", r"rejoin\.py"),
        ("etcd", "etcd", r"^etcd( |$)"),  # what it is told it reads from its environment
        ("pgpool", "pgpool", r"^pgpool -|bin/pgpool -"),
    ],
    ids=lambda value: value if value.isalpha() else "",
)
async def test_a_process_stands_and_goes_on(cluster: DockerCluster, target: str, process: str, pattern: str):
    fault = Signal(target=target, process=process, hold="2s")
    member = await of(fault, cluster)
    before = processes(member, pattern)
    assert len(before) == 1
    others = {pid for pid, state in processes(member, "").items() if state == "T"}
    async with injected("live", fault, [member], Hands(cluster, CLOCK)):
        during = processes(member, "")
        assert {pid for pid, state in during.items() if state == "T"} - others == set(before)
        assert container_state(member.container_id) == "running"
    after = processes(member, pattern)
    assert set(after) == set(before), "the very same process"
    assert set(after.values()) <= {"S", "R", "D"}


async def test_one_of_pgpools_children_is_killed(cluster: DockerCluster):
    fault = Signal(target="pgpool", process="pgpool-child", signal="KILL")
    pgpool = await of(fault, cluster)
    children = r"^pgpool: (wait for connection|\w+ \w+ [\d.]+)"
    parent, before = processes(pgpool, r"^pgpool -|bin/pgpool -"), set(processes(pgpool, children))
    async with injected("live", fault, [pgpool], Hands(cluster, CLOCK)):
        pass
    gone = before - set(processes(pgpool, children))
    assert len(gone) >= 1
    assert set(processes(pgpool, r"^pgpool -|bin/pgpool -")) == set(parent)
    await until(lambda: len(processes(pgpool, children)) == len(before))


async def test_a_killed_walreceiver_comes_back_as_another(cluster: DockerCluster):
    fault = Signal(target="replica", process="walreceiver", signal="KILL")
    replica = await of(fault, cluster)
    pattern = r"^postgres: .*walreceiver"
    before = set(processes(replica, pattern))
    async with injected("live", fault, [replica], Hands(cluster, CLOCK)):
        assert not before & set(processes(replica, pattern))
    await until(lambda: bool(set(processes(replica, pattern)) - before), 60)


async def test_a_killed_etcd_is_started_anew_by_the_engine(cluster: DockerCluster):
    fault = Signal(target="etcd", process="etcd", signal="KILL")
    etcd = await of(fault, cluster)
    restarts = "{{.RestartCount}}"
    count = int(docker("inspect", "--format", restarts, etcd.container_id))
    async with injected("live", fault, [etcd], Hands(cluster, CLOCK)):
        pass
    await until(lambda: int(docker("inspect", "--format", restarts, etcd.container_id)) == count + 1)
    await until(lambda: container_state(etcd.container_id) == "running")


def life(member: Member) -> list[str]:
    """State, exit code and start of its container."""
    form = "{{.State.Status}} {{.State.ExitCode}} {{.State.StartedAt}}"
    return docker("inspect", "--format", form, member.container_id).split()


async def test_stopped_in_good_order(cluster: DockerCluster):
    fault = Stop(target="replica", grace="20s")
    replica = await of(fault, cluster)
    began = life(replica)[2]
    async with injected("live", fault, [replica], Hands(cluster, CLOCK)):
        state, code, _ = life(replica)
        assert (state, code) != ("exited", "137"), "it was not killed"
        assert state == "exited"
    state, _, started = life(replica)
    assert state == "running"
    assert started > began


async def test_restarted(cluster: DockerCluster):
    fault = Restart(target="pgpool")
    pgpool = await of(fault, cluster)
    began = life(pgpool)[2]
    async with injected("live", fault, [pgpool], Hands(cluster, CLOCK)):
        state, _, started = life(pgpool)
        assert state == "running"
        assert started > began
