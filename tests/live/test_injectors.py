"""Every injector on the real cluster: seen from outside, the fault is there while it is active and gone after."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from chaosbench.clock import Clock
from chaosbench.cluster.docker import DockerCluster
from chaosbench.cluster.health import await_healthy
from chaosbench.errors import InjectionError
from chaosbench.injectors import Injector
from chaosbench.injectors.injection import Hands, injected
from chaosbench.injectors.kill import Kill
from chaosbench.injectors.pause import Pause
from chaosbench.injectors.switchover import Switchover
from chaosbench.injectors.table import INJECTORS
from chaosbench.injectors.targets import resolve
from chaosbench.model.cluster import Member
from tests.live.conftest import container_state, patroni_leader

pytestmark = [pytest.mark.live, pytest.mark.asyncio]

CLOCK = Clock()


async def target_of(fault: Injector, cluster: DockerCluster) -> Member:
    return resolve(fault.target, fault, await cluster.snapshot(), random.Random(1))[0]


@pytest.mark.parametrize(
    ("fault", "state"),
    [
        (Kill(target="replica"), "exited"),
        (Kill(target="pgpool"), "exited"),
        (Pause(target="replica"), "paused"),
        (Pause(target="etcd"), "paused"),
    ],
    ids=lambda value: f"{value.kind}-{value.target}" if hasattr(value, "kind") else value,
)
async def test_a_container_is_down_while_the_fault_is_active(cluster: DockerCluster, fault: Injector, state: str):
    member = await target_of(fault, cluster)
    async with injected("live", fault, [member], Hands(cluster, CLOCK)) as injection:
        assert container_state(member.container_id) == state
    assert container_state(member.container_id) == "running"
    assert injection.injected_ns is not None
    assert injection.healed_ns is not None
    await await_healthy(cluster, CLOCK, 60)


async def test_a_switchover_moves_the_leader(cluster: DockerCluster):
    fault = Switchover()
    old = await target_of(fault, cluster)
    async with injected("live", fault, [old], Hands(cluster, CLOCK)):
        new = patroni_leader(old.container_id)
    assert new not in ("", old.name)
    healthy = await await_healthy(cluster, CLOCK, 60)
    assert healthy.leader is not None
    assert healthy.leader.name == new


async def test_a_switchover_to_a_candidate(cluster: DockerCluster):
    candidate = (await cluster.snapshot()).replicas[-1]
    fault = Switchover(candidate=candidate.name)
    old = await target_of(fault, cluster)
    async with injected("live", fault, [old], Hands(cluster, CLOCK)):
        assert patroni_leader(old.container_id) == candidate.name


async def test_a_member_that_is_down_is_left_alone(cluster: DockerCluster):
    fault = Pause(target="replica")
    member = await target_of(fault, cluster)
    await cluster.pause(member)
    with pytest.raises(InjectionError, match="is paused already"):
        async with injected("live", fault, [member], Hands(cluster, CLOCK)):
            pytest.fail("the block must not run")
    assert container_state(member.container_id) == "paused"


async def test_every_injector_has_a_live_test():
    texts = [file.read_text(encoding="utf-8") for file in Path(__file__).parent.glob("test_*.py")]
    for kind, cls in INJECTORS.items():
        used = re.compile(rf"\b{cls.__name__}\(")
        assert any(used.search(text) for text in texts), f"{kind} wants its live test, in tests/live/test_faults_*.py"
