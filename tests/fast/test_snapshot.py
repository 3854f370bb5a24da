"""What a snapshot calls a problem, and how the parts' answers become a snapshot."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chaosbench.cluster import patroni
from chaosbench.model.cluster import BackendView, Member, NodeView, Role, RunState, Snapshot

NODES = ("pg1", "pg2", "pg3")


def member(name: str, role: Role = Role.POSTGRES, state: RunState = RunState.RUNNING) -> Member:
    return Member(name=name, role=role, container_id=f"id-of-{name}", state=state)


HEALTHY = Snapshot(
    members=(*map(member, NODES), member("etcd1", Role.ETCD), member("pgpool1", Role.PGPOOL)),
    nodes={
        "pg1": NodeView("leader", "running", 3, ("pg2", "pg3")),
        "pg2": NodeView("replica", "streaming", 3),
        "pg3": NodeView("replica", "streaming", 3),
    },
    backends={
        "pgpool1": {
            "pg1": BackendView("up", "primary"),
            "pg2": BackendView("up", "standby"),
            "pg3": BackendView("up", "standby"),
        }
    },
)


def node(name: str, **changes: object) -> Snapshot:
    return replace(HEALTHY, nodes={**HEALTHY.nodes, name: replace(HEALTHY.nodes[name], **changes)})


def backend(name: str, view: BackendView) -> Snapshot:
    return replace(HEALTHY, backends={"pgpool1": {**HEALTHY.backends["pgpool1"], name: view}})


def test_a_healthy_cluster_has_no_problems():
    assert HEALTHY.problems() == ()
    assert HEALTHY.leader == HEALTHY.member("pg1")
    assert [m.name for m in HEALTHY.replicas] == ["pg2", "pg3"]


@pytest.mark.parametrize(
    ("snapshot", "problem"),
    [
        (replace(HEALTHY, members=HEALTHY.members[:3]), "no etcd container"),
        (
            replace(
                HEALTHY, members=(*HEALTHY.members[:3], member("etcd1", Role.ETCD, RunState.PAUSED), HEALTHY.members[4])
            ),
            "etcd1 is paused",
        ),
        (node("pg1", role="replica"), "no leader"),
        (node("pg2", role="leader"), "several leaders: pg1, pg2"),
        (node("pg1", state="starting"), "pg1 leads but is starting"),
        (node("pg2", state="in archive recovery"), "pg2 does not stream (in archive recovery)"),
        (node("pg2", timeline=2), "pg2 is on timeline 2, the leader on 3"),
        (node("pg1", replicating=("pg2",)), "the leader does not see pg3 streaming"),
        (replace(HEALTHY, nodes={"pg1": HEALTHY.nodes["pg1"]}), "pg2 does not stream (silent)"),
        (replace(HEALTHY, backends={}), "pgpool1 does not answer"),
        (backend("pg2", BackendView("down", "standby")), "pgpool1 has pg2 down"),
        (backend("pg2", BackendView("waiting", "standby")), "pgpool1 has pg2 waiting"),
        (backend("pg2", BackendView("up", "primary")), "pgpool1 takes pg2 for a primary"),
        (backend("pg1", BackendView("up", "standby")), "pgpool1 takes pg1 for a standby"),
        (replace(HEALTHY, backends={"pgpool1": {"pg1": BackendView("up", "primary")}}), "pgpool1 has pg3 missing"),
    ],
)
def test_each_defect_is_named(snapshot: Snapshot, problem: str):
    assert problem in snapshot.problems()


def test_two_leaders_are_no_leader():
    torn = node("pg2", role="leader")
    assert torn.leader is None
    assert [m.name for m in torn.leaders] == ["pg1", "pg2"]


# What Patroni 4.0.7 answers to GET /patroni, shortened.
LEADER = {
    "state": "running",
    "role": "primary",
    "timeline": 2,
    "dcs_last_seen": 1000,
    "replication": [
        {"application_name": "pg3", "state": "streaming"},
        {"application_name": "pg1", "state": "streaming"},
        {"application_name": "pg4", "state": "catchup"},
    ],
}
REPLICA = {
    "state": "running",
    "role": "replica",
    "timeline": 2,
    "replication_state": "streaming",
    "dcs_last_seen": 1000,
}


def test_patronis_answer_of_a_leader():
    assert patroni.view(LEADER, now=1001.0) == NodeView("leader", "running", 2, ("pg1", "pg3"), dcs_reachable=True)


def test_patronis_answer_of_a_replica():
    view = patroni.view(REPLICA, now=1001.0)
    assert view.streaming
    assert view.role == "replica"


def test_a_replica_that_does_not_stream_is_not_taken_for_one_that_does():
    answer = {key: value for key, value in REPLICA.items() if key != "replication_state"}
    assert not patroni.view(answer, now=1001.0).streaming


@pytest.mark.parametrize(
    "said", [{}, {"state": "stopped", "role": "uninitialized"}, {"state": "starting", "role": "replica"}]
)
def test_half_an_answer_is_no_leader(said: dict[str, object]):
    assert patroni.view(said, now=1001.0).role != "leader"


def test_the_dcs_is_out_of_reach_once_it_was_not_seen_for_a_while():
    assert patroni.view(LEADER, now=1014.0).dcs_reachable
    assert not patroni.view(LEADER, now=1016.0).dcs_reachable
