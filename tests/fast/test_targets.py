"""From the word in a scenario to the member that is hit."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from chaosbench.errors import TargetError
from chaosbench.injectors import Injector
from chaosbench.injectors.kill import Kill
from chaosbench.injectors.pause import Pause
from chaosbench.injectors.switchover import Switchover
from chaosbench.injectors.targets import check_target, resolve
from chaosbench.model.cluster import NodeView, RunState, Snapshot
from tests.fast.test_snapshot import HEALTHY, member

KILL = Kill(target="leader")


def resolved(
    target: str, snapshot: Snapshot = HEALTHY, injector: Injector = KILL, seed: int = 1, **more: object
) -> str:
    return resolve(target, injector, snapshot, random.Random(seed), **more).name


@pytest.mark.parametrize(
    ("target", "name"),
    [("leader", "pg1"), ("etcd", "etcd1"), ("pgpool", "pgpool1"), ("pg3", "pg3"), ("pgpool1", "pgpool1")],
)
def test_roles_and_names(target: str, name: str):
    assert resolved(target) == name


def test_a_replica_is_chosen_by_the_seed():
    chosen = [resolved("replica", seed=seed) for seed in range(20)]
    assert set(chosen) == {"pg2", "pg3"}
    assert chosen == [resolved("replica", seed=seed) for seed in range(20)]


def test_the_leader_is_whoever_leads_now():
    moved = replace(HEALTHY, nodes={**HEALTHY.nodes, "pg1": NodeView(), "pg3": NodeView("leader", "running", 4)})
    assert resolved("leader", moved) == "pg3"


def test_a_role_prefers_a_member_that_runs():
    etcds = tuple(
        replace(HEALTHY.members[3], name=f"etcd{n}", state=RunState.EXITED if n < 3 else RunState.RUNNING)
        for n in (1, 2, 3)
    )
    snapshot = replace(HEALTHY, members=(*HEALTHY.members[:3], *etcds))
    assert {resolved("etcd", snapshot, seed=seed) for seed in range(10)} == {"etcd3"}


def test_a_containers_name():
    containers = {"lab-pg2": "id-of-pg2", "lab-settings": "id-of-a-job"}
    assert resolved("lab-pg2", containers=containers) == "pg2"
    with pytest.raises(TargetError, match="job of the lab"):
        resolved("lab-settings", containers=containers)


def test_no_leader_now_tells_what_there_is():
    snapshot = replace(
        HEALTHY,
        members=(member("pg1", state=RunState.EXITED), *HEALTHY.members[1:]),
        nodes={**HEALTHY.nodes, "pg1": NodeView()},
    )
    with pytest.raises(TargetError, match=r"no leader now \(pg1 exited, pg2 replica, pg3 replica\)"):
        resolved("leader", snapshot)


def test_two_leaders_are_not_chosen_between():
    torn = replace(HEALTHY, nodes={**HEALTHY.nodes, "pg2": NodeView("leader", "running", 4)})
    with pytest.raises(TargetError, match="several nodes claim to lead"):
        resolved("leader", torn)


def test_an_unknown_name_tells_what_there_is_and_what_is_closest():
    with pytest.raises(TargetError, match=r"no target 'pgpol1'.*members pg1, pg2, pg3.*did you mean 'pgpool1'\?"):
        resolved("pgpol1")


def test_an_injector_hits_only_its_roles():
    with pytest.raises(TargetError, match="switchover cannot hit etcd1: it works on leader or replica"):
        resolved("etcd", injector=Switchover())


@pytest.mark.parametrize(
    "target", ["leader", "replica", "etcd", "pgpool", "pg2", "etcd3", "pgpool2", "chaosbench-pg1", "db-a"]
)
def test_nothing_is_wrong_with(target: str):
    assert check_target(target, Kill) is None


@pytest.mark.parametrize(
    ("target", "injector", "said"),
    [
        ("leadr", Kill, "did you mean 'leader'?"),
        ("Leader", Pause, "did you mean 'leader'?"),
        ("replicas", Kill, "did you mean 'replica'?"),
        ("primary", Kill, "did you mean 'leader'?"),
        ("standby", Kill, "did you mean 'replica'?"),
        ("", Kill, "target is empty"),
        ("etcd", Switchover, "switchover cannot hit 'etcd': it works on leader or replica"),
        ("etcd1", Switchover, "switchover cannot hit 'etcd1'"),
        ("chaosbench-pgpool1", Switchover, "switchover cannot hit"),
    ],
)
def test_what_can_be_known_without_a_cluster(target: str, injector: type[Injector], said: str):
    problem = check_target(target, injector)
    assert problem is not None
    assert said in problem
