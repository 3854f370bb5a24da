"""Three etcd members, on a lab of their own: each target that wants a quorum is hit, and seen from outside chaosbench.

What the members say of themselves is asked through their published ports, which no fault here cuts, and, of the whole,
through etcd's own client.
"""

from __future__ import annotations

import json
import random
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest
import pytest_asyncio
from runs import running, scenario

from chaosbench.clock import Clock
from chaosbench.cluster.docker import DockerCluster
from chaosbench.cluster.health import await_healthy
from chaosbench.errors import PreflightError, ScenarioFileError
from chaosbench.injectors import Injector
from chaosbench.injectors.injection import Hands, injected
from chaosbench.injectors.kill import Kill
from chaosbench.injectors.partition import Partition
from chaosbench.injectors.pause import Pause
from chaosbench.injectors.targets import resolve
from chaosbench.model.cluster import Member, Role
from chaosbench.model.faults import Need
from chaosbench.scenarios.loader import load
from chaosbench.scenarios.preflight import require_faults
from tests.live.conftest import docker, patroni_leader
from tests.live.ownlab import own_lab

pytestmark = [pytest.mark.live, pytest.mark.asyncio]

CLOCK = Clock()
ELECTION_S = 8.0
"""An election takes one to two seconds; more where three members share a busy machine."""


@pytest.fixture(scope="module")
def lab_directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """In the place of the usual lab."""
    with own_lab(tmp_path_factory.mktemp("lab"), "etcd3", "compose.etcd3.yaml") as directory:
        yield directory


@pytest_asyncio.fixture
async def etcds(cluster: DockerCluster) -> AsyncIterator[tuple[Member, ...]]:
    """The three members, one cluster; and so they are after the test."""
    members = (await cluster.snapshot()).of(Role.ETCD)
    until_one_leads(members)
    yield members
    until_one_leads(members)
    health = docker("exec", members[0].container_id, "etcdctl", "endpoint", "health", "--cluster", "--write-out=json")
    assert [row["health"] for row in json.loads(health)] == [True] * 3


def told(member: Member) -> dict[str, Any] | None:
    """What a member says of itself; None when it says nothing within a second."""
    return ask(member, "maintenance/status", {}, 1)


def ask(member: Member, path: str, body: dict[str, Any], seconds: float) -> dict[str, Any] | None:
    request = Request(f"http://{member.ports['etcd']}/v3/{path}", json.dumps(body).encode())
    try:
        with urlopen(request, timeout=seconds) as answer:
            found: dict[str, Any] = json.load(answer)
            return found
    except (URLError, OSError, ValueError):
        return None


def leader_in_the_view_of(member: Member) -> str:
    """The id of the member that leads; 0 when it knows none, or is silent."""
    return str((told(member) or {}).get("leader", "0"))


def own_id(member: Member) -> str:
    said = told(member)
    assert said is not None, f"{member.name} is silent"
    return str(said["header"]["member_id"])


def takes_writes(member: Member) -> bool:
    body = {"key": b64encode(b"live-test").decode(), "value": b64encode(str(time.time()).encode()).decode()}
    return ask(member, "kv/put", body, 2) is not None


def until(condition: Any, seconds: float = ELECTION_S) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it does not come about"
        time.sleep(0.2)


def until_one_leads(members: Sequence[Member]) -> None:
    """All of them know one and the same leader."""
    until(lambda: len(views := {leader_in_the_view_of(one) for one in members}) == 1 and views != {"0"}, 20)


async def hit(fault: Injector, cluster: DockerCluster) -> tuple[Member, ...]:
    return resolve(fault.target, fault, await cluster.snapshot(), random.Random(4))


def others(members: Sequence[Member], than: Sequence[Member]) -> list[Member]:
    names = {member.name for member in than}
    return [member for member in members if member.name not in names]


async def patroni_goes_on(cluster: DockerCluster) -> bool:
    """The leader that etcd names is the one that leads."""
    leader = (await cluster.snapshot()).leader
    return leader is not None and patroni_leader(leader.container_id) == leader.name


async def test_every_part_knows_all_three(cluster: DockerCluster, etcds: Sequence[Member]):
    snapshot = await cluster.snapshot()
    assert [member.name for member in etcds] == ["etcd1", "etcd2", "etcd3"]
    assert {leader_in_the_view_of(member) for member in etcds} == {
        own_id(m) for m in etcds if m.name == snapshot.etcd_leader
    }
    assert await cluster.lacks(Need.QUORUM) is None
    for node in snapshot.of(Role.POSTGRES):
        hosts = json.loads(docker("exec", node.container_id, "cat", "/etc/patroni-chaosbench.json"))["etcd3"]["hosts"]
        assert hosts == ["etcd1:2379", "etcd2:2379", "etcd3:2379"]
        listed = docker("exec", "-u", "postgres", node.container_id, "patronictl", "list", "--format", "json")
        assert {row["Member"] for row in json.loads(listed)} == {"pg1", "pg2", "pg3"}


async def test_the_leader_is_frozen_and_another_takes_over(cluster: DockerCluster, etcds: Sequence[Member]):
    fault = Pause(target="etcd leader")
    before, was = (await cluster.snapshot()).leader, leader_in_the_view_of(etcds[0])
    (frozen,) = await hit(fault, cluster)
    assert own_id(frozen) == was, "the one that leads"
    rest = others(etcds, [frozen])
    async with injected("live", fault, [frozen], Hands(cluster, CLOCK)):
        assert told(frozen) is None
        until(lambda: leader_in_the_view_of(rest[0]) in {own_id(one) for one in rest})
        assert takes_writes(rest[0])
        assert await patroni_goes_on(cluster)
    assert told(frozen) is not None
    assert (await cluster.snapshot()).leader == before, "Patroni did not notice"


async def test_a_minority_is_killed_and_the_quorum_stays(cluster: DockerCluster, etcds: Sequence[Member]):
    fault = Kill(target="etcd minority")
    (killed,) = await hit(fault, cluster)
    rest = others(etcds, [killed])
    async with injected("live", fault, [killed], Hands(cluster, CLOCK)):
        assert told(killed) is None
        until(lambda: takes_writes(rest[0]) and takes_writes(rest[1]))
        assert await patroni_goes_on(cluster)


async def test_a_majority_is_frozen_and_nothing_can_be_written(cluster: DockerCluster, etcds: Sequence[Member]):
    fault = Pause(target="etcd majority")
    frozen = await hit(fault, cluster)
    assert len(frozen) == 2
    (left,) = others(etcds, frozen)
    async with injected("live", fault, frozen, Hands(cluster, CLOCK)):
        assert [told(one) for one in frozen] == [None, None]
        until(lambda: leader_in_the_view_of(left) == "0" or own_id(left) != leader_in_the_view_of(left))
        assert not takes_writes(left)
        stale = ask(left, "kv/range", {"key": b64encode(b"/").decode(), "serializable": True}, 2)
        assert stale is not None, "what it has it still tells"
    until(lambda: takes_writes(left))


async def test_all_are_frozen(cluster: DockerCluster, etcds: Sequence[Member]):
    fault = Pause(target="all etcd")
    frozen = await hit(fault, cluster)
    assert [member.name for member in frozen] == ["etcd1", "etcd2", "etcd3"]
    async with injected("live", fault, frozen, Hands(cluster, CLOCK)):
        assert [told(one) for one in frozen] == [None] * 3
    until(lambda: takes_writes(etcds[0]))


@pytest.mark.parametrize("direction", ["both", "in", "out"])
async def test_one_member_from_the_rest(cluster: DockerCluster, etcds: Sequence[Member], direction: str):
    """Cut both ways it knows no leader; one way it can hear or be heard, and the rest agree on another all the same."""
    fault = Partition(target="etcd leader", peers="all etcd", direction=direction, hold="30s")
    (alone,) = await hit(fault, cluster)
    rest = others(etcds, [alone])
    assert leader_in_the_view_of(rest[0]) == own_id(alone)
    clean = rules_of(alone)
    async with injected("live", fault, [alone], Hands(cluster, CLOCK)) as injection:
        assert injection.hits[0].before["peers"] == [one.name for one in rest]
        assert f"partition-{injection.hits[0].before['token']}" in rules_of(alone)
        if direction == "in":  # its heartbeats still arrive: it leads on until it finds out that nobody answers
            until(lambda: not takes_writes(alone))
        until(lambda: leader_in_the_view_of(rest[0]) in {own_id(one) for one in rest})
        assert takes_writes(rest[0])
        assert not takes_writes(alone)
        assert told(alone) is not None, "cut off, not down"
        assert await patroni_goes_on(cluster)
    assert rules_of(alone) == clean


def rules_of(member: Member) -> str:
    beside_it = ["--network", f"container:{member.container_id}", "--cap-add", "NET_ADMIN"]
    return docker("run", "--rm", *beside_it, "chaosbench-tools:local", "sh", "-c", "nft -s list ruleset")


@pytest.mark.parametrize("target", ["etcd majority", "all etcd", "etcd1, etcd2"])
async def test_more_than_a_minority_is_for_the_scenario_to_allow(cluster: DockerCluster, tmp_path: Path, target: str):
    body = "duration: 9s\nload: {workload: select-only, rate: 9/s, connections: 1}\n"
    faults = f"faults: [{{at: 1s, inject: pause, target: '{target}', hold: 1s}}]\n"
    file = tmp_path / "scenarios.yaml"
    file.write_text(scenario(body + faults))
    with pytest.raises((ScenarioFileError, PreflightError), match="'allow_quorum_loss: true'"):
        await require_faults(load(file).scenarios, cluster)
    file.write_text(scenario(f"{body}allow_quorum_loss: true\n{faults}"))
    await require_faults(load(file).scenarios, cluster)


async def test_a_run_names_the_member_that_was_hit(cluster: DockerCluster, lab_directory: Path, tmp_path: Path):
    """From end to end, with the observers watching all three."""
    await await_healthy(cluster, CLOCK, 60)
    leader = (await cluster.snapshot()).etcd_leader
    yaml = scenario("""
duration: 8s
load: {workload: ledger, rate: 20/s, connections: 2}
faults: [{at: 2s, inject: pause, target: etcd leader, hold: 3s}]
expect: {rpo: 0}
""")
    with running(tmp_path, lab_directory, yaml) as run:
        assert run.ended() in (0, 3), run.output  # 3: the generator may be late on a small machine
    (fault,) = run.summary()["faults"]
    assert fault["member"] == leader
    assert fault["healed_at_s"] - fault["injected_at_s"] >= 3
    assert run.summary()["verdict"] != "fail"
