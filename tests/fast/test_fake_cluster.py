"""The fake behaves as the real cluster does, or tests on it would prove nothing."""

from __future__ import annotations

import asyncio

import pytest

from chaosbench.clock import loop_clock
from chaosbench.cluster.fake import FakeCluster
from chaosbench.errors import FaultError, InjectionError, TargetError
from chaosbench.model.cluster import Member, Role, RunState

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]


async def test_it_begins_healthy():
    assert (await FakeCluster(loop_clock()).snapshot()).problems() == ()


@pytest.mark.parametrize(("down", "up"), [("kill", "start"), ("pause", "unpause")])
async def test_a_lost_leader_is_replaced_after_the_failover_delay(down: str, up: str):
    cluster = FakeCluster(loop_clock(), failover_delay=5.0)
    await getattr(cluster, down)(cluster.member("pg1"))
    await asyncio.sleep(4.9)
    assert (await cluster.snapshot()).leader is None
    await asyncio.sleep(0.2)
    after = await cluster.snapshot()
    assert after.leader is not None
    assert after.leader.name == "pg2"
    assert after.nodes["pg2"].timeline == 2
    assert "pg1 is" in " ".join(after.problems())
    await getattr(cluster, up)(cluster.member("pg1"))
    assert (await cluster.snapshot()).problems() == ()


async def test_a_leader_back_in_time_stays_leader_on_its_timeline():
    cluster = FakeCluster(loop_clock(), failover_delay=5.0)
    await cluster.kill(cluster.member("pg1"))
    await asyncio.sleep(2)
    await cluster.start(cluster.member("pg1"))
    snapshot = await cluster.snapshot()
    assert snapshot.problems() == ()
    assert (cluster.leader, cluster.timeline) == ("pg1", 1)


async def test_without_etcd_the_leader_steps_down_and_nobody_follows():
    cluster = FakeCluster(loop_clock(), failover_delay=5.0, demote_after=10.0)
    await cluster.pause(cluster.member("etcd1"))
    await asyncio.sleep(9)
    assert (await cluster.snapshot()).leader is not None
    await asyncio.sleep(60)
    frozen = await cluster.snapshot()
    assert frozen.leader is None
    assert not frozen.nodes["pg1"].dcs_reachable
    assert frozen.backends == {}
    await cluster.unpause(cluster.member("etcd1"))
    await asyncio.sleep(4.9)
    assert (await cluster.snapshot()).leader is None
    await asyncio.sleep(0.2)
    assert (await cluster.snapshot()).problems() == ()


async def test_switchover():
    cluster = FakeCluster(loop_clock())
    await cluster.switchover(cluster.member("pg1"), cluster.member("pg3"))
    assert cluster.leader == "pg3"
    with pytest.raises(InjectionError, match="no good candidates"):
        await cluster.switchover(cluster.member("pg1"), None)


async def test_it_records_calls_and_fails_on_demand():
    cluster = FakeCluster(loop_clock())
    cluster.failures["kill"] = [FaultError("no")]
    with pytest.raises(FaultError, match="no"):
        await cluster.kill(cluster.member("pg1"))
    await cluster.kill(cluster.member("pg1"))
    assert cluster.calls == [("kill", "pg1"), ("kill", "pg1")]
    assert await cluster.state(cluster.member("pg1")) is RunState.EXITED


async def test_it_knows_only_its_own_members():
    cluster = FakeCluster(loop_clock())
    stranger = Member(name="pg1", role=Role.POSTGRES, container_id="another", state=RunState.RUNNING)
    with pytest.raises(TargetError):
        await cluster.kill(stranger)
    assert cluster.calls == []
