"""Phases on their way from a run into the summary, onto the terminal, and against expectations."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from rich.console import Console
from summaries import FAULT, summary
from test_run import Rig, kill

from chaosbench.clock import Anchor, Clock
from chaosbench.cluster import Cluster
from chaosbench.expectations import judge, parse_expectation
from chaosbench.model.cluster import Snapshot
from chaosbench.model.observation import (
    DcsView,
    KeyChange,
    NodeChange,
    NodeState,
    ProxyChange,
    ProxyState,
)
from chaosbench.model.phases import ObserverReport, PhaseReport
from chaosbench.model.report import Verdict
from chaosbench.observers.pace import Pace
from chaosbench.observers.record import Record
from chaosbench.observers.watch import Sources
from chaosbench.render import terminal

PHASES = PhaseReport(
    path="failover",
    t0_s=10.0,
    t1_s=10.1,
    t2_s=26.0,
    t3_s=28.0,
    t4_s=28.25,
    t5_s=29.0,
    t6_s=30.0,
    t7_s=45.0,
    within_s={"t4": 0.01},
    detection_s=16.0,
    election_s=2.0,
    promotion_s=0.25,
    proxy_s=0.75,
    client_s=1.0,
    redundancy_s=35.0,
    degraded_tail_s=3.0,
    elections=1,
    hangs_at=None,
    why="",
    lease_ttl_s=16,
    etcd_leader="etcd1",
    etcd_hit=None,
    canary_t1_s=10.1,
    canary_t6_s=29.5,
    no_write_from_s=10.1,
    no_write_to_s=29.5,
    engine=(),
)
NOTHING = replace(
    PHASES,
    path="none",
    **dict.fromkeys(["t2_s", "t3_s", "t4_s", "t5_s", "t7_s", "detection_s", "election_s", "promotion_s", "proxy_s"]),
    client_s=None,
    redundancy_s=None,
)
HUNG = replace(NOTHING, hangs_at="election", why="nobody holds the leader key")


@pytest.mark.looptime(noop_cycles=0)
async def test_a_run_takes_its_faults_apart():
    rig = Rig()
    states = [
        (0.1, "pg1", NodeState(reachable=True, primary=True, timeline=1)),
        (0.1, "pg2", NodeState(reachable=True, timeline=1, streaming=True)),
        (5.0, "pg1", NodeState()),
        (8.0, "pg2", NodeState(reachable=True, primary=True, timeline=2)),
        (12.0, "pg1", NodeState(reachable=True, timeline=2, streaming=True)),
    ]

    @asynccontextmanager
    async def observed(cluster: Cluster, snapshot: Snapshot, clock: Clock, anchor: Anchor) -> AsyncIterator[Sources]:
        record = Record()
        both = frozenset({"pg1", "pg2"})

        async def run() -> None:
            ns = clock.now()
            record.keys.append(KeyChange(ns, ns, "pg1", 1, "etcd1"))
            record.proxy.append(ProxyChange(ns, ns, ProxyState(True, "pg1", both)))
            start = asyncio.get_running_loop().time()
            for after, node, state in states:
                await asyncio.sleep(start + after - asyncio.get_running_loop().time())
                ns = clock.now()
                record.node(NodeChange(ns, ns - 1, node, state))
                if state.primary and state.timeline == 2:
                    record.keys += [KeyChange(ns - 900, 0, None, 2, "etcd1"), KeyChange(ns - 600, 0, "pg2", 3, "etcd1")]
                    record.proxy.append(ProxyChange(ns + 1, ns - 1, ProxyState(True, "pg2", both)))
            await asyncio.Event().wait()

        async def view() -> DcsView:
            return DcsView(clock.now(), 17, "etcd1")

        yield Sources(Pace(clock), record, ("pg1", "pg2"), {"all": run}, {"canary": "no table"}, view=view)

    rig.bench = replace(rig.bench, observe=observed)
    found = await rig.run((3.0, kill(hold="5s")), duration=14.0)
    (fault,) = found.faults
    phases = fault.phases
    assert phases is not None
    assert (phases.path, phases.hangs_at, phases.elections) == ("failover", None, 1)
    assert (phases.lease_ttl_s, phases.etcd_leader, phases.canary_t6_s) == (17, "etcd1", None)
    assert phases.t6_s == fault.t6_s
    stamps = [phases.t0_s, phases.t2_s, phases.t3_s, phases.t4_s, phases.t5_s, phases.t7_s]
    assert None not in stamps
    assert stamps == sorted(stamp for stamp in stamps if stamp is not None)
    assert {observer.name: observer.failed for observer in found.observers} == {"all": None, "canary": "no table"}
    assert found.observers_quick_s == pytest.approx(11, abs=1)


def shown(phases: PhaseReport) -> str:
    console = Console(width=200, record=True, file=None, quiet=False)
    observers = (
        ObserverReport(name="nodes", quick_per_s=300.0, slow_per_s=3.0, failed=None),
        ObserverReport(name="canary", quick_per_s=200.0, slow_per_s=1.0, failed="no table"),
    )
    with console.capture() as captured:
        terminal.show(
            summary(faults=(replace(FAULT, phases=phases),), observers=observers, observers_quick_s=40.0), console
        )
    return captured.get()


def test_on_a_terminal():
    text = shown(PHASES)
    assert "failover: detection 16.00 + election 2.00 + promotion 0.25 + proxy 0.75 + client 1.00 s" in text
    assert "redundancy back after 35.00 s; p99 back 3.0 s after the writes; the lease had 16 s left" in text
    assert "observed with 500 questions/s for 40 s, 4/s otherwise" in text
    assert "not observed: canary: no table" in text
    assert "hangs at election: nobody holds the leader key" in shown(HUNG)
    assert "hit etcd1 of etcd (its leader)" in shown(replace(NOTHING, etcd_hit="etcd1"))
    assert "hit etcd2 of etcd (etcd1 led)" in shown(replace(NOTHING, etcd_hit="etcd2"))
    assert "taken 3 times" in shown(replace(PHASES, elections=3))


@pytest.mark.parametrize(
    ("phases", "metric", "limit", "verdict", "why"),
    [
        ((PHASES,), "detection", "<= 16s", Verdict.PASS, ""),
        ((PHASES,), "election", "<= 1s", Verdict.FAIL, ""),
        ((PHASES, NOTHING), "redundancy", "<= 35s", Verdict.PASS, ""),
        ((NOTHING,), "proxy", "<= 1s", Verdict.UNKNOWN, "no fault had this phase (path: none)"),
        ((PHASES, HUNG), "election", "<= 5s", Verdict.FAIL, "nobody holds the leader key"),
        ((None,), "client", "<= 5s", Verdict.UNKNOWN, "no fault was observed"),
        ((), "client", "<= 5s", Verdict.UNKNOWN, "no fault was observed"),
    ],
)
def test_expectations(phases: tuple[PhaseReport | None, ...], metric: str, limit: str, verdict: Verdict, why: str):
    faults = tuple(replace(FAULT, phases=one) for one in phases)
    report = judge(parse_expectation(metric, limit), summary(faults=faults))
    assert (report.verdict, report.why) == (verdict, why)
