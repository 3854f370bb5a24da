"""From the words in a scenario to the members that are hit."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from pydantic import TypeAdapter, ValidationError

from chaosbench.errors import TargetError
from chaosbench.injectors import Injector
from chaosbench.injectors.kill import Kill
from chaosbench.injectors.pause import Pause
from chaosbench.injectors.selection import FORMS
from chaosbench.injectors.switchover import Switchover
from chaosbench.injectors.targets import Peers, check_target, peers, resolve
from chaosbench.model.cluster import NodeView, Role, RunState, Snapshot
from tests.fast.test_snapshot import HEALTHY, member, node

KILL = Kill(target="leader")
ETCDS = tuple(member(f"etcd{number}", Role.ETCD) for number in (1, 2, 3))
WIDE = replace(
    node("pg3", sync=True), members=(*HEALTHY.members[:3], *ETCDS, *HEALTHY.members[4:]), etcd_leader="etcd2"
)
"""A healthy cluster with three etcd members, of which etcd2 leads, and pg3 as synchronous standby."""


def resolved(
    target: str, snapshot: Snapshot = HEALTHY, injector: Injector = KILL, seed: int = 1, **more: object
) -> str:
    return ", ".join(hit.name for hit in resolve(target, injector, snapshot, random.Random(seed), **more))


@pytest.mark.parametrize(
    ("target", "names"),
    [
        ("leader", "pg1"),
        ("etcd", "etcd1"),
        ("pgpool", "pgpool1"),
        ("pg3", "pg3"),
        ("pgpool1", "pgpool1"),
        ("pg3, pg2", "pg2, pg3"),
        ("leader, pgpool1", "pg1, pgpool1"),
        ("leader, pg1", "pg1"),
        ("2 replicas", "pg2, pg3"),
        ("all replicas", "pg2, pg3"),
        ("all pgpools", "pgpool1"),
        ("all", "etcd1, pg1, pg2, pg3, pgpool1"),
    ],
)
def test_roles_and_names(target: str, names: str):
    assert resolved(target) == names


@pytest.mark.parametrize(
    ("target", "names"),
    [
        ("sync standby", "pg3"),
        ("etcd leader", "etcd2"),
        ("all etcd", "etcd1, etcd2, etcd3"),
        ("etcd leader, leader", "etcd2, pg1"),
    ],
)
def test_roles_of_a_wide_cluster(target: str, names: str):
    assert resolved(target, WIDE) == names


@pytest.mark.parametrize(("target", "count"), [("etcd minority", 1), ("etcd majority", 2), ("2 etcds", 2)])
def test_a_part_of_etcd_is_chosen_by_the_seed(target: str, count: int):
    chosen = [resolved(target, WIDE, seed=seed).split(", ") for seed in range(40)]
    assert {len(names) for names in chosen} == {count}
    assert {name for names in chosen for name in names} == {"etcd1", "etcd2", "etcd3"}


def test_random_is_any_member_that_the_injector_can_hit():
    assert {resolved("random", seed=seed) for seed in range(60)} == {"etcd1", "pg1", "pg2", "pg3", "pgpool1"}
    assert {resolved("random", injector=Switchover(), seed=seed) for seed in range(40)} == {"pg1", "pg2", "pg3"}
    assert resolved("all", injector=Switchover()) == "pg1, pg2, pg3"


def test_a_replica_is_chosen_by_the_seed():
    chosen = [resolved("replica", seed=seed) for seed in range(20)]
    assert set(chosen) == {"pg2", "pg3"}
    assert chosen == [resolved("replica", seed=seed) for seed in range(20)]


def test_the_leader_is_whoever_leads_now():
    moved = replace(HEALTHY, nodes={**HEALTHY.nodes, "pg1": NodeView(), "pg3": NodeView("leader", "running", 4)})
    assert resolved("leader", moved) == "pg3"


def test_a_role_prefers_members_that_run():
    down = tuple(replace(one, state=RunState.EXITED) if one.name == "etcd1" else one for one in WIDE.members)
    snapshot = replace(WIDE, members=down)
    assert {resolved("etcd", snapshot, seed=seed) for seed in range(20)} == {"etcd2", "etcd3"}
    assert resolved("etcd majority", snapshot) == "etcd2, etcd3"
    assert resolved("all etcd", snapshot) == "etcd2, etcd3"


def test_a_containers_name():
    containers = {"lab-pg2": "id-of-pg2", "lab-settings": "id-of-a-job"}
    assert resolved("lab-pg2", containers=containers) == "pg2"
    with pytest.raises(TargetError, match="job of the lab"):
        resolved("lab-settings", containers=containers)


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("sync standby", r"no sync standby now .*turn Patroni's synchronous_mode on, or write 'replica'"),
        ("etcd leader", "no etcd leader now .*no etcd member that answers leads"),
        ("etcd minority", "a minority of 1 etcd is none: write 'etcd', or use a lab with three etcd members"),
        ("3 replicas", r"there are 2 of replica now, not 3 \(pg1 leader, pg2 replica, pg3 replica\)"),
        ("dpg3", r"no target 'dpg3'.*members pg1, pg2, pg3.*did you mean 'pg3'\?"),
    ],
)
def test_what_there_is_not_now_is_told_with_what_there_is(target: str, said: str):
    with pytest.raises(TargetError, match=said):
        resolved(target)


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


def test_an_injector_hits_only_its_roles():
    with pytest.raises(TargetError, match="switchover cannot hit etcd1: it works on leader or replica"):
        resolved("etcd", injector=Switchover())


def between(target: str, name: str, snapshot: Snapshot = WIDE) -> str:
    hit = snapshot.member(name)
    assert hit is not None
    return ", ".join(peer.name for peer in peers(target, snapshot, hit))


@pytest.mark.parametrize(
    ("target", "name", "names"),
    [
        ("all replicas", "pg1", "pg2, pg3"),
        ("all etcd", "pg1", "etcd1, etcd2, etcd3"),
        ("all etcd", "etcd2", "etcd1, etcd3"),
        ("leader", "pgpool1", "pg1"),
        ("all", "pg2", "etcd1, etcd2, etcd3, pg1, pg3, pgpool1"),
        ("pg1, pg2", "pg1", "pg2"),
        ("replica", "pg2", "pg3"),
    ],
)
def test_the_other_side_of_a_partition(target: str, name: str, names: str):
    assert between(target, name) == names


def test_a_cut_from_all_replicas_has_no_hole_where_patroni_is_silent():
    silent = replace(WIDE, nodes={**WIDE.nodes, "pg3": NodeView()})
    assert between("all replicas", "pg1", silent) == "pg2, pg3"


def test_peers_without_a_generator_are_the_same_for_every_member():
    assert between("replica", "pgpool1") == between("replica", "etcd1") == between("replica", "pg1")


def test_nobody_but_itself_is_no_peer():
    with pytest.raises(TargetError, match="'pg1' is nobody but pg1 itself"):
        between("pg1", "pg1")


def test_peers_as_a_key_of_an_injector():
    adapter: TypeAdapter[str] = TypeAdapter(Peers)
    assert adapter.validate_python(["pg1", "pg2"]) == "pg1, pg2"
    for bad, said in (("replicas", "did you mean 'all replicas'"), (5, "write a target"), (["pg1", ""], "comma")):
        with pytest.raises(ValidationError, match=said):
            adapter.validate_python(bad)


@pytest.mark.parametrize(
    "target", [*FORMS, "pg2", "etcd3", "pgpool2", "chaosbench-pg1", "db-a", "pg1, pg2", "3 replicas", "leader, etcd"]
)
def test_nothing_is_wrong_with(target: str):
    assert check_target(target, Kill) is None


@pytest.mark.parametrize(
    ("target", "injector", "said"),
    [
        ("leadr", Kill, "did you mean 'leader'?"),
        ("Leader", Pause, "did you mean 'leader'?"),
        ("replicas", Kill, "did you mean 'all replicas'?"),
        ("primary", Kill, "did you mean 'leader'?"),
        ("standby", Kill, "did you mean 'replica'?"),
        ("", Kill, "target is empty"),
        ("pg1,", Kill, "has a comma too many"),
        ("pg1, pg1", Kill, "'pg1' stands there twice; keep one"),
        ("0 replicas", Kill, "hit at least 1"),
        ("2 leaders", Kill, "what can be counted is"),
        ("2 replcas", Kill, "did you mean '2 replicas'?"),
        ("etcd majorty", Kill, "did you mean 'etcd majority'?"),
        ("the first one", Kill, "no target 'the first one': write one of leader, replica"),
        ("etcd", Switchover, "switchover cannot hit 'etcd': it works on leader or replica"),
        ("etcd1", Switchover, "switchover cannot hit 'etcd1'"),
        ("leader, all etcd", Switchover, "switchover cannot hit 'leader, all etcd'"),
        ("chaosbench-pgpool1", Switchover, "switchover cannot hit"),
    ],
)
def test_what_can_be_known_without_a_cluster(target: str, injector: type[Injector], said: str):
    problem = check_target(target, injector)
    assert problem is not None
    assert said in problem
