"""Network faults on the real cluster, seen by TCP connections, SQL and the namespaces themselves; gone to the byte."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from chaosbench.clock import Clock
from chaosbench.cluster.docker import DockerCluster
from chaosbench.errors import InjectionError
from chaosbench.injectors import Injector, beside
from chaosbench.injectors.disconnect import Disconnect
from chaosbench.injectors.injection import Hands, injected
from chaosbench.injectors.netem import Netem
from chaosbench.injectors.partition import Partition
from chaosbench.injectors.rate import Rate
from chaosbench.injectors.reset import Reset
from chaosbench.injectors.targets import peers, resolve
from chaosbench.model.cluster import Address, Member, Role
from chaosbench.model.faults import Need
from chaosbench.scenarios.loader import load
from tests.live.conftest import docker, helpers_of, sql
from tests.live.faulting import until

pytestmark = [pytest.mark.live, pytest.mark.asyncio]

CLOCK = Clock()
PARTITIONS = Path(__file__).parents[2] / "scenarios" / "partitions.yaml"
OPEN, REFUSED, SILENT = 0, 1, 124
"""How a try to connect ends: bash's own exit codes, and that of ``timeout``."""


def in_network_of(member: Member, script: str) -> str:
    """A command in the member's network namespace, from a container that chaosbench knows nothing of."""
    beside_it = ["--network", f"container:{member.container_id}", "--cap-add", "NET_ADMIN"]
    return docker("run", "--rm", *beside_it, "chaosbench-tools:local", "sh", "-c", script)


def network_state(member: Member) -> str:
    """Packet filter and queueing disciplines, as their own tools tell them; counters aside."""
    return in_network_of(member, "nft -s list ruleset; iptables-save | sed '/^#/d; s/\\[.*]//'; tc qdisc show")


def connect(source: Member, host: str, port: int, patience: float = 2) -> int:
    """How a TCP connection from inside ``source`` ends."""
    words = ["timeout", f"{patience:g}", "bash", "-c", f"</dev/tcp/{host}/{port}"]
    return subprocess.run(["docker", "exec", source.container_id, *words], capture_output=True, timeout=60).returncode


def address_of(member: Member) -> str:
    return docker(
        "inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", member.container_id
    )


async def of(fault: Injector, cluster: DockerCluster) -> Member:
    (member,) = resolve(fault.target, fault, await cluster.snapshot(), random.Random(1))
    return member


async def leader_of(cluster: DockerCluster) -> Member:
    leader = (await cluster.snapshot()).leader
    assert leader is not None
    return leader


async def test_a_replica_cut_from_its_leader(cluster: DockerCluster):
    fault = Partition(target="replica", peers="leader")
    replica, leader = await of(fault, cluster), await leader_of(cluster)
    before = network_state(replica)
    async with injected("live", fault, [replica], Hands(cluster, CLOCK)) as injection:
        assert connect(replica, leader.name, 5432) == SILENT
        assert connect(leader, replica.name, 5432) == SILENT
        during = network_state(replica)
        assert f"chaosbench: partition-{injection.hits[0].before['token']}" in during
        reached = sql(replica, "SELECT pg_last_wal_receive_lsn()")
        sql(leader, "SELECT pg_logical_emit_message(false, 'live', 'x', true)")
        await asyncio.sleep(1)
        assert sql(replica, "SELECT pg_last_wal_receive_lsn()") == reached, "nothing streams"
        assert sql(leader, f"SELECT pg_current_wal_lsn() > '{reached}'") == "t", "clients of the leader go on"
        assert (await cluster.snapshot()).nodes[replica.name].role == "replica", "published ports are not cut"
    assert network_state(replica) == before
    assert connect(replica, leader.name, 5432) == OPEN
    await until(lambda: sql(replica, f"SELECT pg_last_wal_receive_lsn() > '{reached}'") == "t")
    assert helpers_of(replica) == []


@contextmanager
def knocking(source: Member, host: str, port: int) -> Iterator[None]:
    """Tries to connect in the background."""
    words = ["timeout", "15", "bash", "-c", f"</dev/tcp/{host}/{port}"]
    with subprocess.Popen(["docker", "exec", source.container_id, *words]) as process:
        try:
            yield
        finally:
            process.kill()


@pytest.mark.parametrize(("direction", "heard"), [("in", False), ("out", True)])
async def test_one_way_and_one_service_only(cluster: DockerCluster, direction: str, heard: bool):
    """The first packet of a connection arrives and is answered in vain, or does not arrive at all."""
    fault = Partition(target="replica", peers="leader", direction=direction, ports=[8008])
    replica, leader = await of(fault, cluster), await leader_of(cluster)
    before = network_state(replica)
    async with injected("live", fault, [replica], Hands(cluster, CLOCK)):
        with knocking(leader, replica.name, 8008):
            await asyncio.sleep(1)
            half_open = in_network_of(replica, f"ss -Htn state syn-recv sport = :8008 dst {address_of(leader)}")
        assert bool(half_open) is heard
        assert connect(leader, replica.name, 8008) == SILENT
        assert connect(leader, replica.name, 5432) == OPEN
    assert network_state(replica) == before
    assert connect(leader, replica.name, 8008) == OPEN


NAMED = {scenario.name: scenario.faults[0].actions[0].injector for scenario in load(PARTITIONS).scenarios}
"""The cuts that have a name. One etcd member from the rest has its test on a lab of three: test_etcd_members.py."""

PAIRS = [name for name in NAMED if not name.startswith(("etcd-member", "everything"))]
SERVICES = {Role.POSTGRES: 5432, Role.ETCD: 2379, Role.PGPOOL: 9999}


@pytest.mark.parametrize("name", PAIRS)
async def test_every_cut_that_has_a_name(cluster: DockerCluster, name: str):
    """Nobody reaches anybody; and what is lost one way only did arrive, and was answered in vain."""
    fault = NAMED[name]
    assert isinstance(fault, Partition)
    member, snapshot = await of(fault, cluster), await cluster.snapshot()
    other = peers(fault.peers, snapshot, member)[0]
    before = network_state(member)
    async with injected("live", fault, [member], Hands(cluster, CLOCK)):
        ends = await asyncio.gather(
            asyncio.to_thread(connect, member, other.name, SERVICES[other.role], 1),
            asyncio.to_thread(connect, other, member.name, SERVICES[member.role], 1),
        )
        assert ends == [SILENT, SILENT]
        arrived = await asyncio.gather(half_open(member, other), half_open(other, member))
        assert arrived == [fault.direction == "in", fault.direction == "out"], "its questions, and the other's"
    assert network_state(member) == before
    assert connect(member, other.name, SERVICES[other.role]) == OPEN
    assert connect(other, member.name, SERVICES[member.role]) == OPEN


async def half_open(source: Member, to: Member) -> bool:
    """Whether a first packet from ``source`` arrives and waits there for the third."""
    port = SERVICES[to.role]
    with knocking(source, to.name, port):
        await asyncio.sleep(1)
        looked = f"ss -Htn state syn-recv sport = :{port} dst {address_of(source)}"
        return bool(await asyncio.to_thread(in_network_of, to, looked))


@pytest.mark.parametrize("name", ["everything-from-everything", "everything-from-everything-one-way"])
async def test_everything_from_everything(cluster: DockerCluster, name: str):
    fault = NAMED[name]
    members = (await cluster.snapshot()).members
    pairs = [(one, other, port) for one, other, port in zip(members, (*members[1:], members[0]), PORTS, strict=True)]
    async with injected("live", fault, members, Hands(cluster, CLOCK)):
        ends = await asyncio.gather(
            *(asyncio.to_thread(connect, one, other.name, port, 1) for one, other, port in pairs)
        )
        assert ends == [SILENT] * len(members)
    # A leader that was alone for too long restarts as a standby: until it is back, its machine answers and it does not.
    assert SILENT not in [connect(one, other.name, port) for one, other, port in pairs]
    await until(lambda: all(connect(one, other.name, port) == OPEN for one, other, port in pairs))
    assert helpers_of(members[0]) == []


PORTS = (5432, 5432, 5432, 9999, 2379)
"""Of the member that follows, in the order of the names: etcd1, pg1, pg2, pg3, pgpool1."""


async def test_a_share_of_the_packets(cluster: DockerCluster):
    """A first packet that was lost is sent again after a second."""
    fault = Partition(target="replica", peers="leader", direction="in", ports=[8008], share="50%")
    replica, leader = await of(fault, cluster), await leader_of(cluster)
    once = f"s=$EPOCHREALTIME; </dev/tcp/{address_of(replica)}/8008; e=$EPOCHREALTIME; echo $((${{e/./}} - ${{s/./}}))"
    script = f"for i in {{1..12}}; do ( {once} ) & done; wait"
    async with injected("live", fault, [replica], Hands(cluster, CLOCK)):
        took = [
            int(us) / 1e6 for us in docker("exec", leader.container_id, "timeout", "20", "bash", "-c", script).split()
        ]
    assert any(seconds > 0.9 for seconds in took), took
    assert any(seconds < 0.9 for seconds in took), took


EXPIRING = [
    Partition(target="replica", peers="leader", hold="1s"),
    Reset(target="replica", peers="leader", hold="1s"),
    Rate(target="replica", rate="1mbit", hold="1s"),
    Netem(target="replica", delay="100ms", hold="1s"),
]


@pytest.mark.parametrize("fault", EXPIRING, ids=lambda fault: fault.kind)
async def test_each_goes_by_itself_when_its_time_is_over(
    cluster: DockerCluster, fault: Injector, monkeypatch: pytest.MonkeyPatch
):
    for need in sorted(fault.needs):
        if (reason := await cluster.lacks(need)) is not None:
            pytest.skip(reason)
    monkeypatch.setattr(beside, "MARGIN_S", 1)
    replica = await of(fault, cluster)
    state = network_state(replica)
    before = await fault.look(cluster, replica)
    await fault.inject(cluster, replica, before)
    assert await fault.present(cluster, replica, before)
    await until(lambda: helpers_of(replica) == [])
    assert network_state(replica) == state


@pytest.mark.parametrize("end", ["it is stopped", "it is killed"])
async def test_nobody_is_left_to_heal(cluster: DockerCluster, end: str):
    """A fault whose chaosbench is gone goes by itself; where its helper was killed as well, healing is enough."""
    fault = Partition(target="replica", peers="leader", hold="60s")
    replica = await of(fault, cluster)
    state = network_state(replica)
    before = await fault.look(cluster, replica)
    await fault.inject(cluster, replica, before)
    (helper,) = helpers_of(replica)
    assert network_state(replica) != state
    if end == "it is stopped":
        docker("stop", helper)
    elif end == "it is killed":
        docker("kill", helper)
        assert network_state(replica) != state
        assert await fault.present(cluster, replica, before)
        await fault.heal(cluster, replica, before)
    await until(lambda: helpers_of(replica) == [])
    assert network_state(replica) == state
    assert not await fault.present(cluster, replica, before)
    await fault.heal(cluster, replica, before)  # nothing left, and no error


async def test_a_restart_takes_the_rules_along(cluster: DockerCluster):
    fault = Partition(target="pgpool", peers="leader")
    pgpool = await of(fault, cluster)
    async with injected("live", fault, [pgpool], Hands(cluster, CLOCK)) as injection:
        docker("restart", "--time", "5", pgpool.container_id)
        await until(lambda: injection.lost_ns is not None, 10)
    assert "chaosbench" not in network_state(pgpool)
    assert helpers_of(pgpool) == []


def session(cluster: DockerCluster, address: Address, patience: int = 5) -> psycopg.Connection[tuple[object, ...]]:
    login = cluster.login
    return psycopg.connect(
        host=address.host,
        port=address.port,
        user=login.user,
        password=login.password,
        dbname=login.database,
        connect_timeout=patience,
        autocommit=True,
    )


async def test_sessions_are_reset_and_new_ones_refused(cluster: DockerCluster):
    fault = Reset(target="pgpool", hold="5s")
    pgpool, leader = await of(fault, cluster), await leader_of(cluster)
    before, address = network_state(pgpool), await cluster.proxy_address()
    with session(cluster, address) as open_one:
        assert open_one.execute("SELECT 1").fetchone() == (1,)
        async with injected("live", fault, [pgpool], Hands(cluster, CLOCK)):
            start = time.monotonic()
            with pytest.raises(psycopg.OperationalError):
                open_one.execute("SELECT 1")
            with pytest.raises(psycopg.OperationalError) as refused:
                session(cluster, address)
            assert time.monotonic() - start < 3, "both are told at once"
            assert "timeout" not in str(refused.value)
            assert connect(pgpool, leader.name, 5432) == REFUSED
            assert connect(leader, pgpool.name, 9999) == REFUSED
    assert network_state(pgpool) == before
    with session(cluster, address) as new_one:
        assert new_one.execute("SELECT 1").fetchone() == (1,)


async def test_only_the_connections_with_the_peers_are_reset(cluster: DockerCluster):
    fault = Reset(target="replica", peers="leader", ports=[5432], hold="5s")
    replica, leader = await of(fault, cluster), await leader_of(cluster)
    before = network_state(replica)
    streams = f"SELECT count(*) FROM pg_stat_replication WHERE application_name = '{replica.name}'"
    await until(lambda: sql(leader, streams) == "1")
    with session(cluster, replica.ports["sql"]) as from_the_host:
        async with injected("live", fault, [replica], Hands(cluster, CLOCK)):
            await until(lambda: sql(leader, streams) == "0", 2)  # its walsender ends itself once it is told
            assert connect(replica, leader.name, 5432) == REFUSED
            assert connect(replica, leader.name, 8008) == OPEN
            assert from_the_host.execute("SELECT 1").fetchone() == (1,)
    assert network_state(replica) == before
    await until(lambda: sql(leader, streams) == "1")


async def test_a_thin_line(cluster: DockerCluster):
    fault = Rate(target="replica", rate="1mbit")
    replica = await of(fault, cluster)
    before = network_state(replica)
    with session(cluster, replica.ports["sql"]) as client:

        def seconds_for(size: int) -> float:
            start = time.monotonic()
            client.execute(f"SELECT string_agg(md5(i::text), '') FROM generate_series(1, {size // 32}) i")
            return time.monotonic() - start

        usual = seconds_for(300_000)
        async with injected("live", fault, [replica], Hands(cluster, CLOCK)):
            assert "tbf" in network_state(replica)
            thin = await asyncio.to_thread(seconds_for, 300_000)
        assert thin > (300_000 - 32 * 1024) * 8 / 1e6 * 0.9, "bytes beyond the burst, at a million bits a second"
        assert usual < thin / 2
    assert network_state(replica) == before


async def test_another_discipline_is_left_alone(cluster: DockerCluster):
    fault = Rate(target="replica", rate="1mbit")
    replica = await of(fault, cluster)
    interface = in_network_of(replica, "ip -o link show type veth").split()[1].partition("@")[0]
    in_network_of(replica, f"tc qdisc add dev {interface} root handle 1: tbf rate 1gbit burst 1mb latency 1s")
    theirs = network_state(replica)
    try:
        with pytest.raises(InjectionError, match=r"has a queueing discipline already \(tbf 1:\)"):
            async with injected("live", fault, [replica], Hands(cluster, CLOCK)):
                pytest.fail("the block must not run")
        assert network_state(replica) == theirs
    finally:
        in_network_of(replica, f"tc qdisc del dev {interface} root handle 1:")


async def test_late_packets(cluster: DockerCluster):
    fault = Netem(target="replica", delay="300ms")
    replica, leader = await of(fault, cluster), await leader_of(cluster)
    for need in (Need.HELPER, Need.NETEM):
        if (reason := await cluster.lacks(need)) is not None:
            pytest.skip(reason)
    before = network_state(replica)
    script = (
        f"s=$EPOCHREALTIME; </dev/tcp/{address_of(replica)}/8008; e=$EPOCHREALTIME; echo $((${{e/./}} - ${{s/./}}))"
    )
    async with injected("live", fault, [replica], Hands(cluster, CLOCK)):
        assert int(docker("exec", leader.container_id, "bash", "-c", script)) > 290_000
    assert network_state(replica) == before


async def test_a_machine_without_netem_refuses_it_and_keeps_its_state(cluster: DockerCluster):
    if await cluster.lacks(Need.NETEM) is None:
        pytest.skip("this machine has netem")
    fault = Netem(target="replica", delay="300ms")
    replica = await of(fault, cluster)
    before = network_state(replica)
    with pytest.raises(InjectionError, match="qdisc kind is unknown"):
        async with injected("live", fault, [replica], Hands(cluster, CLOCK)):
            pytest.fail("the block must not run")
    assert network_state(replica) == before
    assert helpers_of(replica) == []


async def test_what_the_machine_can_do_agrees_with_what_its_tools_say(cluster: DockerCluster):
    """Tried by hand, in namespaces of their own, and quick."""

    def by_hand(script: str, *options: str) -> bool:
        words = ["docker", "run", "--rm", "--network", "none", *options, "chaosbench-tools:local", "sh", "-c", script]
        return subprocess.run(words, capture_output=True, timeout=60).returncode == 0

    start = time.monotonic()
    can = {need: await cluster.lacks(need) is None for need in Need}
    assert time.monotonic() - start < 10, "two seconds on a machine that is not busy"
    net = ("--cap-add", "NET_ADMIN")
    assert can[Need.HELPER] is by_hand("nft add table inet x", *net)
    assert can[Need.NETEM] is by_hand("tc qdisc add dev lo root netem delay 1ms", *net)
    assert can[Need.TBF] is by_hand("tc qdisc add dev lo root tbf rate 1mbit burst 32kb latency 9ms", *net)
    assert can[Need.PTRACE] is by_hand("strace -o /dev/null true", "--cap-add", "SYS_PTRACE")
    assert can[Need.QUORUM] is (len((await cluster.snapshot()).of(Role.ETCD)) >= 3)
    assert helpers_of(await leader_of(cluster)) == []


def endpoint(member: Member) -> dict[str, object]:
    """What an endpoint is known by; its own id is new each time it is made."""
    shown = json.loads(docker("inspect", "--format", "{{json .NetworkSettings.Networks}}", member.container_id))
    kept = ("NetworkID", "IPAddress", "IPPrefixLen", "Gateway", "MacAddress", "Links")
    return {
        name: {key: of_it[key] for key in kept} | {"Aliases": sorted(of_it["Aliases"])} for name, of_it in shown.items()
    }


async def test_a_cable_is_pulled(cluster: DockerCluster):
    fault = Disconnect(target="replica")
    replica, leader = await of(fault, cluster), await leader_of(cluster)
    before, ports = endpoint(replica), docker("port", replica.container_id)
    assert before
    async with injected("live", fault, [replica], Hands(cluster, CLOCK)):
        assert endpoint(replica) == {}
        assert connect(leader, replica.name, 5432) != OPEN
        assert connect(replica, address_of(leader), 5432) == REFUSED, "its network is unreachable at once"
    assert endpoint(replica) == before
    assert docker("port", replica.container_id) == ports
    assert connect(leader, replica.name, 5432) == OPEN
