"""What the page says beside its curves: stages, faults with their outage so far, windows, leaders, expectations."""

from __future__ import annotations

import json

from sinks_cases import ANCHOR, T0, Bench, event

from chaosbench.clock import NS
from chaosbench.events import Kind
from chaosbench.model.cluster import BackendView, Member, NodeView, Role, RunState, Snapshot
from chaosbench.outcome import Outcome
from chaosbench.sinks.interval import Sampler
from chaosbench.sinks.page.cluster import cluster_map
from chaosbench.sinks.page.story import KEPT, Story
from chaosbench.sinks.steps import at_once

START_MS = 1_772_366_400_000  # 2026-03-01 12:00 UTC, the anchor


class Told:
    """A story on a bench."""

    def __init__(self) -> None:
        self.bench, self.story, self.sampler = Bench(), Story(ANCHOR), Sampler()
        for kind in (Kind.RUN_STARTED, Kind.SCENARIO_STARTED, Kind.STAGE):
            self.story.event(event(kind))

    def at(self, seconds: float) -> None:
        self.bench.now_ns = T0 + round(seconds * NS)

    def tick(self) -> dict:
        interval = self.sampler.sample(self.bench.recorder, self.bench.now_ns)
        at_once(self.story.tick(self.bench.recorder, interval))
        return json.loads(json.dumps(self.story.state(self.bench.now_ns)))


def test_a_fault_goes_from_injecting_to_healed():
    told = Told()
    states = []
    for at, kind in enumerate((Kind.FAULT_INJECTING, Kind.FAULT_INJECTED, Kind.FAULT_HEALED), start=1):
        told.story.event(event(kind, at))
        states.append([(fault["state"], fault["from"], fault["to"]) for fault in told.story.state(T0)["faults"]])
    since = START_MS + 1000
    assert states == [[("injecting", since, None)], [("active", since, None)], [("healed", since, START_MS + 3000)]]


def test_a_fault_that_cannot_be_healed_stays_in_place():
    told = Told()
    told.story.event(event(Kind.FAULT_INJECTING))
    told.story.event(event(Kind.HEAL_FAILED, 5))
    (fault,) = told.story.state(T0)["faults"]
    assert (fault["state"], fault["to"]) == ("stuck", None)
    assert "docker start" in fault["error"]


def test_the_rto_is_open_until_a_write_comes_back_and_then_that_of_the_summary():
    told = Told()
    told.at(1)
    told.story.event(event(Kind.FAULT_INJECTING, 1))
    outage = told.bench.recorder.watch(T0 + NS)
    told.at(2)
    told.bench.bad()
    told.at(4)
    (during,) = told.tick()["faults"]
    assert (during["failing"], during["rto_s"]) == (True, None)
    assert during["write_gap_s"] == 3.0
    told.at(6)
    told.bench.ok()
    (after,) = told.tick()["faults"]
    assert after["rto_s"] == 5.0
    told.bench.recorder.unwatch(outage)
    (later,) = told.tick()["faults"]
    assert later["rto_s"] == 5.0, "the next fault has taken over; this one's figures stay"


def test_expectations_are_held_against_what_there_is_so_far():
    told = Told()
    told.story.view.scenario["expectations"] = [
        {"metric": "rto", "limit": "<= 2s"},
        {"metric": "rpo", "limit": "== 0"},
        {"metric": "ok_rate", "limit": ">= 50%"},
        {"metric": "p99", "limit": "<= 1ms"},
    ]
    told.bench.ok(9)
    told.bench.bad(1, Outcome.UNKNOWN)
    told.at(1)
    told.story.event(event(Kind.FAULT_INJECTING, 1))
    told.bench.recorder.watch(T0 + NS)
    told.at(2)
    told.bench.bad()
    told.at(2.5)
    told.bench.bad()
    rows = {one["metric"]: one for one in told.tick()["expectations"]}
    assert {name: one["verdict"] for name, one in rows.items()} == {
        "rto": "unknown",
        "rpo": "unknown",
        "ok_rate": "pass",
        "p99": "fail",
    }
    told.at(6)
    told.bench.ok()
    (rto,) = [one for one in told.tick()["expectations"] if one["metric"] == "rto"]
    assert (rto["value"], rto["verdict"]) == (5.0, "fail")


def test_totals_are_the_recorders():
    told = Told()
    told.bench.ok(7)
    told.bench.bad(2)
    told.bench.bad(1, Outcome.SHED, "deadline")
    assert told.tick()["totals"] == {"attempted": 10, "ok": 7, "failed": 2, "unknown": 0, "shed": 1, "in_flight": 0}


def test_windows_are_open_until_they_are_closed():
    told = Told()
    told.at(3)
    told.bench.bad()
    (open_one,) = told.tick()["windows"]
    assert (open_one["class"], open_one["open"]) == ("write", True)
    for seconds in range(4, 9):
        told.at(seconds)
        told.bench.ok()
        told.bench.recorder.advance()
    (closed,) = told.tick()["windows"]
    assert (closed["open"], closed["to"], closed["counts"]) == (False, START_MS + 3000, {"failed": 1})


def test_leaders_are_told_in_order_and_none_is_one_of_them():
    told = Told()
    for leader in ("pg1", "pg1", None, "pg2"):
        told.bench.recorder.leader = leader
        told.tick()
    assert [one["leader"] for one in told.story.state(T0)["leaders"]] == ["pg1", None, "pg2"]


def test_after_the_load_the_leader_is_the_one_that_others_saw():
    told = Told()
    told.bench.recorder.leader = "pg1"
    told.tick()
    leads = Snapshot(members=(member("pg2", Role.POSTGRES),), nodes={"pg2": NodeView("leader", "running", 2)})
    told.story.look(leads, T0 + 5 * NS)
    told.story.look(leads, T0 + 6 * NS)
    assert [(one["at"], one["leader"]) for one in told.story.state(T0)["leaders"]] == [
        (START_MS, "pg1"),
        (START_MS + 5000, "pg2"),
    ]


def test_a_new_scenario_starts_with_a_clean_page_but_remembers_what_is_done():
    told = Told()
    told.story.event(event(Kind.FAULT_INJECTING))
    told.bench.bad()
    told.tick()
    told.story.event(event(Kind.SCENARIO_FINISHED))
    told.story.event(event(Kind.SCENARIO_STARTED, 60))
    state = told.story.state(T0)
    assert (state["faults"], state["windows"], state["totals"], state["load_from"]) == ([], [], {}, None)
    assert state["done"] == [{"scenario": "leader-kill", "verdict": "pass"}]


def test_a_soak_with_a_thousand_faults_stays_small():
    told = Told()
    for number in range(1000):
        told.story.event(event(Kind.FAULT_INJECTING, number, fault=f"fault-{number}"))
        told.story.event(event(Kind.LEADER_CHANGED, number, leader=f"pg{number % 3}"))
    state = told.story.state(T0)
    assert len(state["faults"]) == len(state["leaders"]) == KEPT
    assert len(json.dumps(state)) < 100_000


def member(name: str, role: Role, state: RunState = RunState.RUNNING) -> Member:
    return Member(name=name, role=role, container_id=name, state=state)


def test_the_map_shows_roles_lag_and_what_pgpool_thinks():
    snapshot = Snapshot(
        members=(
            member("etcd1", Role.ETCD, RunState.PAUSED),
            member("pg1", Role.POSTGRES),
            member("pg2", Role.POSTGRES),
            member("pg3", Role.POSTGRES, RunState.EXITED),
            member("pgpool1", Role.PGPOOL),
        ),
        nodes={
            "pg1": NodeView("leader", "running", 4, ("pg2",), wal_position=5000),
            "pg2": NodeView("replica", "streaming", 4, wal_position=4200),
            "pg3": NodeView(),
        },
        backends={"pgpool1": {"pg1": BackendView("up", "primary"), "pg3": BackendView("down", "standby")}},
    )
    drawn = cluster_map(snapshot)
    rows = {one["name"]: one for one in drawn["members"]}
    assert drawn["leader"] == "pg1"
    assert rows["pg2"]["node"] | {"lag_bytes": 800, "timeline": 4} == rows["pg2"]["node"]
    assert (rows["pg1"]["node"]["lag_bytes"], rows["pg3"]["node"]["lag_bytes"]) == (None, None)
    assert (rows["etcd1"]["state"], rows["pg3"]["state"]) == ("paused", "exited")
    assert rows["pgpool1"]["backends"] == {"pg1": ["up", "primary"], "pg3": ["down", "standby"]}
    assert "pg3 is exited" in drawn["problems"]
