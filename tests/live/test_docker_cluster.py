"""The real cluster behind the protocol, and the limits that it keeps to."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from chaosbench import lab
from chaosbench.cluster.containers import LAB_LABEL
from chaosbench.cluster.docker import DockerCluster
from chaosbench.errors import InjectionError, TargetError
from chaosbench.model.cluster import Address, Member, Role, RunState
from tests.live.conftest import container_state, docker, patroni_leader

pytestmark = [pytest.mark.live, pytest.mark.asyncio]

IMAGE = "chaosbench-etcd:local"


async def test_a_snapshot_agrees_with_what_others_tell(cluster: DockerCluster):
    snapshot = await cluster.snapshot()
    assert snapshot.problems() == ()
    assert [member.name for member in snapshot.members] == ["etcd1", "pg1", "pg2", "pg3", "pgpool1"]
    leader = snapshot.leader
    assert leader is not None
    assert leader.name == patroni_leader(leader.container_id)
    assert set(snapshot.nodes[leader.name].replicating) == {"pg1", "pg2", "pg3"} - {leader.name}
    assert snapshot.backends["pgpool1"][leader.name].role == "primary"
    assert all(node.dcs_reachable for node in snapshot.nodes.values())


async def test_a_snapshot_is_quick(cluster: DockerCluster):
    took = []
    for _ in range(5):
        start = time.monotonic()
        await cluster.snapshot()
        took.append(time.monotonic() - start)
    assert min(took) < 0.25, took


async def test_a_frozen_node_is_silent_and_does_not_delay_the_snapshot(cluster: DockerCluster):
    replica = (await cluster.snapshot()).replicas[0]
    await cluster.pause(replica)
    start = time.monotonic()
    snapshot = await cluster.snapshot()
    assert time.monotonic() - start < 1.5
    assert snapshot.nodes[replica.name].state == "silent"
    assert f"{replica.name} is paused" in snapshot.problems()
    await cluster.unpause(replica)
    await cluster.unpause(replica)  # nothing to do, and no error


async def test_a_stopped_member_keeps_its_ports(cluster: DockerCluster):
    replica = (await cluster.snapshot()).replicas[0]
    await cluster.kill(replica)
    stopped = (await cluster.snapshot()).member(replica.name)
    assert stopped == replace(replica, state=RunState.EXITED)
    await cluster.start(replica)
    await cluster.start(replica)  # nothing to do, and no error
    assert await cluster.state(replica) is RunState.RUNNING


async def test_pgpool_is_the_proxy_and_tells_its_settings(cluster: DockerCluster):
    address = await cluster.proxy_address()
    assert address == Address("127.0.0.1", int(docker("port", "chaosbench-pgpool1", "9999").rsplit(":", 1)[1]))
    assert int((await cluster.proxy_settings())["num_init_children"]) > 0


async def test_all_labelled_containers_are_known_and_no_other(cluster: DockerCluster):
    listed = docker(
        "ps", "--all", "--no-trunc", "--filter", f"label={LAB_LABEL}=chaosbench", "--format", "{{.Names}} {{.ID}}"
    )
    assert dict(await cluster.containers()) == dict(line.split() for line in listed.splitlines())


@pytest.fixture(params=["no label", "another lab's label"])
def stranger(request: pytest.FixtureRequest) -> Iterator[Member]:
    """A running container that is not the lab's, described as if it were a member."""
    label = ["--label", f"{LAB_LABEL}=another"] if "another" in request.param else []
    container_id = docker("run", "--detach", "--rm", *label, "--entrypoint", "sleep", IMAGE, "600")
    yield Member(name="pg1", role=Role.POSTGRES, container_id=container_id, state=RunState.RUNNING)
    docker("rm", "--force", container_id)


@pytest.mark.parametrize("verb", ["kill", "pause", "start", "unpause", "state"])
async def test_a_container_without_the_label_is_not_touched(cluster: DockerCluster, stranger: Member, verb: str):
    with pytest.raises(TargetError, match="touches only containers that carry its label"):
        await getattr(cluster, verb)(stranger)
    assert container_state(stranger.container_id) == "running"


async def test_a_member_whose_container_is_gone(cluster: DockerCluster):
    gone = Member(name="pg1", role=Role.POSTGRES, container_id="0" * 64, state=RunState.RUNNING)
    with pytest.raises(TargetError, match="is gone"):
        await cluster.kill(gone)


async def test_patronis_refusal_is_told_in_its_words(cluster: DockerCluster):
    snapshot = await cluster.snapshot()
    with pytest.raises(InjectionError, match=r"switchover from pg\d: Patroni answered 412: .*leader"):
        await cluster.switchover(snapshot.replicas[0], None)


async def test_a_lab_that_is_up_stays_as_it_is(cluster: DockerCluster, lab_directory: Path):
    before = docker("ps", "--no-trunc", "--quiet")
    said: list[str] = []
    start = time.monotonic()
    await lab.up(lab_directory, said.append)
    assert time.monotonic() - start < 1.5
    assert said == ["the lab is up and healthy already"]
    assert docker("ps", "--no-trunc", "--quiet") == before


async def test_status(cluster: DockerCluster, lab_directory: Path):
    status = await lab.status(lab_directory)
    assert status.exit_code == 0
    assert lab.render(status).endswith("healthy")


async def test_the_settings_are_told_without_a_secret(cluster: DockerCluster):
    found = await cluster.settings()
    assert {"patroni.ttl", "pgpool.num_init_children", "limits.pg1.memory", "version.etcd"} <= found.keys()
    assert not any(cluster.login.password in value for value in found.values())
