"""T0 to T7 and the path, from tables of what was observed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosbench.model.observation import (
    KeyChange,
    NodeChange,
    NodeState,
    Observations,
    ProxyChange,
    ProxyState,
    whole,
)
from chaosbench.model.phases import Path, Phases, Span, Step
from chaosbench.phases import phases

MS = 1_000_000
NODES = ("pg1", "pg2", "pg3")
ALL = frozenset(NODES)
GONE = NodeState()
END = 60_000


def primary(timeline: int = 1) -> NodeState:
    return NodeState(reachable=True, primary=True, timeline=timeline)


def standby(timeline: int | None = 1) -> NodeState:
    return NodeState(reachable=True, timeline=timeline, streaming=timeline is not None)


def key(at: int, holder: str | None) -> KeyChange:
    return KeyChange(at * MS, at * MS, holder, at + 100, "etcd1")


def node(at: int, name: str, state: NodeState) -> NodeChange:
    return NodeChange(at * MS, (at - 10) * MS, name, state)


def proxy(at: int, primary: str | None = None, up: frozenset[str] = ALL, *, reachable: bool = True) -> ProxyChange:
    return ProxyChange(at * MS, (at - 10) * MS, ProxyState(reachable, primary, up if reachable else frozenset()))


def shut(at: int) -> ProxyChange:
    return proxy(at, reachable=False)


BEFORE = Observations(
    nodes_watched=NODES,
    keys=(key(-900, "pg1"),),
    nodes=(node(-900, "pg1", primary()), node(-900, "pg2", standby()), node(-900, "pg3", standby())),
    proxy=(proxy(-900, "pg1"),),
)


def seen(*changes: KeyChange | NodeChange | ProxyChange, requests: tuple[int, ...] = ()) -> Observations:
    return replace(
        BEFORE,
        keys=(*BEFORE.keys, *(c for c in changes if isinstance(c, KeyChange))),
        nodes=(*BEFORE.nodes, *(c for c in changes if isinstance(c, NodeChange))),
        proxy=(*BEFORE.proxy, *(c for c in changes if isinstance(c, ProxyChange))),
        requests=tuple(at * MS for at in requests),
    )


def taken_apart(observed: Observations, t1: int | None = None, t6: int | None = None, ack: int | None = None) -> Phases:
    def ns(at: int | None) -> int | None:
        return None if at is None else at * MS

    return phases(Span(0, END * MS, ns(t1), ns(t6), ns(ack)), observed)


def steps(found: Phases) -> list[int | None]:
    """T1 to T7 in milliseconds."""
    stamps = [getattr(found, f"t{number}_ns") for number in range(1, 8)]
    return [None if at_ns is None else at_ns // MS for at_ns in stamps]


FAILOVER = (
    node(20, "pg1", GONE),
    key(16_000, None),
    key(18_000, "pg2"),
    node(18_130, "pg2", primary(2)),
    shut(18_200),
    proxy(18_900, "pg2", frozenset({"pg2"})),
    node(19_500, "pg3", standby(2)),
    proxy(20_000, "pg2", frozenset({"pg2", "pg3"})),
    node(30_000, "pg1", standby(2)),
    proxy(31_000, "pg2"),
)


def test_a_failover():
    found = taken_apart(seen(*FAILOVER), t1=5, t6=19_100)
    assert found.path is Path.FAILOVER
    assert steps(found) == [5, 16_000, 18_000, 18_130, 18_900, 19_100, 31_000]
    lengths = [found.detection_ns, found.election_ns, found.promotion_ns, found.proxy_ns, found.client_ns]
    assert lengths == [16_000 * MS, 2_000 * MS, 130 * MS, 770 * MS, 200 * MS]
    assert sum(length or 0 for length in lengths) == 19_100 * MS
    assert found.redundancy_ns == 31_000 * MS
    assert (found.elections, found.hangs_at, found.why) == (1, None, "")
    assert found.within_ns["t4"] == found.within_ns["t5"] == 10 * MS
    assert found.within_ns["t2"] == 0


def test_the_same_when_somebody_asked_for_it_is_a_switchover():
    assert taken_apart(seen(*FAILOVER, requests=(10,)), t1=5, t6=19_100).path is Path.SWITCHOVER
    assert taken_apart(seen(*FAILOVER, requests=(-10,)), t1=5, t6=19_100).path is Path.FAILOVER, "an older request"
    assert taken_apart(seen(*FAILOVER, requests=(40_000,)), t1=5, t6=19_100).path is Path.FAILOVER, "a later one"


def test_nothing_happened():
    found = taken_apart(BEFORE)
    assert (found.path, steps(found), found.hangs_at) == (Path.NONE, [None] * 7, None)
    assert found.detection_ns is found.redundancy_ns is None


def test_a_replica_dies_and_comes_back():
    found = taken_apart(
        seen(node(10, "pg2", GONE), proxy(1500, "pg1", ALL - {"pg2"}), node(9000, "pg2", standby()), proxy(9800, "pg1"))
    )
    assert (found.path, steps(found)) == (Path.NONE, [None] * 6 + [9800])


def test_postgres_is_restarted_in_place():
    observed = seen(node(10, "pg1", GONE), shut(15), node(1200, "pg1", primary()), proxy(1300, "pg1"))
    found = taken_apart(observed, t1=12, t6=1400)
    assert (found.path, found.elections) == (Path.RESTART_IN_PLACE, 0)
    assert steps(found) == [12, None, None, None, 1300, 1400, 1300]
    assert found.client_ns == 100 * MS
    assert found.promotion_ns is found.proxy_ns is None


def test_a_leader_steps_down_and_returns():
    observed = seen(
        node(10_000, "pg1", GONE),
        node(11_000, "pg1", standby(None)),
        key(30_500, None),
        key(31_000, "pg1"),
        node(31_100, "pg1", primary(2)),
        node(32_000, "pg2", standby(2)),
        node(32_500, "pg3", standby(2)),
    )
    found = taken_apart(observed, t1=10_050, t6=31_300)
    assert found.path is Path.DEMOTION_AND_RETURN
    assert steps(found) == [10_050, 30_500, 31_000, 31_100, 31_100, 31_300, 32_500]
    assert found.proxy_ns == 0, "Pgpool never took anybody else for the primary"


def test_a_leader_that_steps_down_without_losing_its_key():
    observed = seen(node(10_000, "pg1", standby(None)), node(31_100, "pg1", primary(2)))
    found = taken_apart(observed, t1=10_050, t6=31_300)
    assert found.path is Path.DEMOTION_AND_RETURN
    assert steps(found)[1:4] == [None, None, 31_100]
    assert found.detection_ns is found.election_ns is found.promotion_ns is None


def test_of_several_elections_the_one_counts_that_clients_came_back_on():
    observed = seen(
        key(1000, None),
        key(1100, "pg2"),
        node(1200, "pg2", primary(2)),
        node(1500, "pg2", GONE),
        key(20_000, None),
        key(20_200, "pg3"),
        node(20_400, "pg3", primary(3)),
        proxy(21_000, "pg3"),
    )
    found = taken_apart(observed, t1=5, t6=21_500)
    assert steps(found)[1:6] == [1000, 20_200, 20_400, 21_000, 21_500]
    assert found.elections == 2


def test_a_promotion_after_the_clients_were_back_is_not_theirs():
    observed = seen(*FAILOVER, key(50_000, None), key(51_000, "pg1"), node(51_100, "pg1", primary(3)))
    assert steps(taken_apart(observed, t1=5, t6=19_100))[2:6] == [18_000, 18_130, 18_900, 19_100]


@pytest.mark.parametrize(
    ("t6", "ack", "t4", "t5"),
    [
        (18_850, None, 18_130, 18_850),  # a client was let in before the probe was
        (19_100, 18_870, 18_130, 18_870),  # the canary was
        (18_125, None, 18_125, 18_125),  # written between two looks at the node
        (17_000, None, 18_130, 18_900),  # no write on the new primary: it proves nothing
    ],
)
def test_an_acknowledged_write_proves_that_its_way_was_open(t6: int, ack: int | None, t4: int, t5: int):
    found = taken_apart(seen(*FAILOVER), t1=5, t6=t6, ack=ack)
    assert steps(found)[3:5] == [t4, t5]


def test_a_write_from_before_the_promotion_does_not_hide_one_that_proves_something():
    found = taken_apart(seen(*FAILOVER), t1=5, t6=18_500, ack=16_500)
    assert steps(found)[3:6] == [18_130, 18_500, 18_500]


def test_writes_that_go_through_although_pgpool_names_no_primary_are_routed():
    observed = seen(*FAILOVER[:4], proxy(19_000, None))
    assert taken_apart(observed, t1=5).t5_ns is None
    assert steps(taken_apart(observed, t1=5, t6=18_400))[3:6] == [18_130, 18_400, 18_400]


def test_what_happens_after_the_span_is_the_next_faults():
    found = phases(Span(0, 17_000 * MS, 5 * MS), seen(*FAILOVER))
    assert steps(found)[1:4] == [16_000, None, None]


HANGS = [
    ((), Step.PROXY, "Pgpool lets nobody in", (shut(50),)),
    ((node(20, "pg1", GONE),), Step.DETECTION, "pg1 holds the leader key still, and is no primary", ()),
    ((node(20, "pg1", GONE), key(16_000, None)), Step.ELECTION, "nobody holds the leader key", ()),
    (
        (node(20, "pg1", GONE), key(16_000, None), key(17_000, "pg2")),
        Step.PROMOTION,
        "pg2 holds the leader key, and is no primary",
        (),
    ),
    (FAILOVER[:4], Step.PROXY, "pg2 leads, and Pgpool takes pg1 for the primary", ()),
    (FAILOVER[:4], Step.PROXY, "pg2 leads, and Pgpool takes nobody for the primary", (proxy(19_000, None),)),
    (FAILOVER, Step.CLIENT, "Pgpool routes writes to pg2, and none was acknowledged", ()),
]


@pytest.mark.parametrize(("changes", "step", "why", "more"), HANGS)
def test_where_a_cluster_hangs_that_does_not_come_back(
    changes: tuple[KeyChange | NodeChange | ProxyChange, ...], step: Step, why: str, more: tuple[ProxyChange, ...]
):
    found = taken_apart(seen(*changes, *more), t1=5)
    assert (found.hangs_at, found.why) == (step, why)
    assert found.client_ns is None


def test_redundancy_that_does_not_come_back_is_told_with_what_is_missing():
    found = taken_apart(seen(*FAILOVER[:8]), t1=5, t6=19_100)
    assert found.t7_ns is None
    assert found.hangs_at is Step.REDUNDANCY
    assert found.why == "pg1 not streaming on the primary's timeline; pg1 not up in Pgpool"


def test_redundancy_counts_from_when_it_came_back_for_good():
    again = (node(40_000, "pg3", GONE), node(45_000, "pg3", standby(2)))
    assert steps(taken_apart(seen(*FAILOVER, *again), t1=5, t6=19_100))[6] == 45_000


def test_nobody_observed():
    found = taken_apart(Observations(), t1=5)
    assert steps(found) == [5] + [None] * 6
    assert (found.path, found.hangs_at, found.why) == (Path.NONE, Step.DETECTION, "the DCS did not say who leads")


@pytest.mark.parametrize(
    ("states", "view", "is_whole"),
    [
        ((primary(2), standby(2), standby(2)), ProxyState(True, "pg1", ALL), True),
        ((primary(2), standby(1), standby(2)), ProxyState(True, "pg1", ALL), False),
        ((primary(2), standby(None), standby(2)), ProxyState(True, "pg1", ALL), False),
        ((primary(2), primary(2), standby(2)), ProxyState(True, "pg1", ALL), False),
        ((standby(2), standby(2), standby(2)), ProxyState(True, "pg1", ALL), False),
        ((primary(2), GONE, standby(2)), ProxyState(True, "pg1", ALL), False),
        ((primary(2), standby(2), standby(2)), ProxyState(True, "pg2", ALL), False),
        ((primary(2), standby(2), standby(2)), ProxyState(True, "pg1", ALL - {"pg3"}), False),
        ((primary(2), standby(2), standby(2)), ProxyState(), False),
    ],
)
def test_whole(states: tuple[NodeState, ...], view: ProxyState, is_whole: bool):
    assert whole(dict(zip(NODES, states, strict=True)), view) is is_whole


STATES = st.one_of(st.just(GONE), st.integers(1, 4).map(primary), st.one_of(st.none(), st.integers(1, 4)).map(standby))
AT = st.integers(-100, END + 100)
CHANGES = st.lists(
    st.one_of(
        st.builds(key, AT, st.sampled_from([None, *NODES])),
        st.builds(node, AT, st.sampled_from(NODES), STATES),
        st.builds(proxy, AT, st.sampled_from([None, *NODES]), st.frozensets(st.sampled_from(NODES))),
        st.builds(shut, AT),
    ),
    max_size=25,
).map(lambda changes: sorted(changes, key=lambda change: change.at_ns))
STAMP = st.one_of(st.none(), st.integers(0, END))


@given(CHANGES, STAMP, STAMP, STAMP)
def test_whatever_is_observed(
    changes: list[KeyChange | NodeChange | ProxyChange], t1: int | None, back: int | None, ack: int | None
):
    t6 = None if t1 is None or back is None else max(t1, back)
    found = taken_apart(seen(*changes), t1, t6, ack)
    stamps = [found.t2_ns, found.t3_ns, found.t4_ns, found.t5_ns, found.t7_ns]
    assert all(0 <= at_ns < END * MS for at_ns in stamps if at_ns is not None), "within the span"
    lengths = [found.detection_ns, found.election_ns, found.promotion_ns, found.proxy_ns, found.client_ns]
    assert all(length is None or length >= 0 for length in lengths)
    if None not in lengths:
        assert found.t6_ns is not None
        assert sum(length or 0 for length in lengths) == found.t6_ns - found.t0_ns, "the phases add up to the RTO"
    if found.t4_ns is not None and found.t5_ns is not None:
        assert found.t4_ns <= found.t5_ns
    if found.t3_ns is not None and found.path in (Path.FAILOVER, Path.SWITCHOVER, Path.DEMOTION_AND_RETURN):
        assert found.t2_ns is None or found.t4_ns is None or found.elections > 0
    assert (found.hangs_at is None) == (found.why == "")
    if t1 is not None and t6 is None:
        assert found.hangs_at not in (None, Step.REDUNDANCY)
    if found.t7_ns is not None and found.hangs_at is not None:
        assert found.hangs_at is not Step.REDUNDANCY
    assert found == taken_apart(seen(*changes), t1, t6, ack), "the same again"
