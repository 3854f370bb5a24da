"""The summary put together from what was recorded: windows tied to faults, RTO, the verdict."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from chaosbench.clock import NS, Anchor, Clock
from chaosbench.expectations import parse_expectation
from chaosbench.injectors.kill import Kill
from chaosbench.injectors.life import Hit, Injection
from chaosbench.model.cluster import Member, Role, RunState
from chaosbench.model.report import Summary, Verdict
from chaosbench.model.scenario import Windows
from chaosbench.outage import WriteOutage
from chaosbench.outcome import OpClass, Outcome
from chaosbench.recorder.recorder import Recorder
from chaosbench.scenarios.faults import FaultRecord
from chaosbench.scenarios.report import Measured, summarise
from chaosbench.scenarios.scenario import PlannedFault, Scenario
from chaosbench.scenarios.tying import AFTERMATH_NS, tied
from chaosbench.windows import Window

MEMBER = Member("pg1", Role.POSTGRES, "id", RunState.RUNNING)
START = 1000 * NS


def seconds(value: float) -> int:
    return START + round(value * NS)


def record(
    name: str = "kill",
    t0: float = 10.0,
    healed: float | None = 20.0,
    t1: float | None = 11.0,
    t6: float | None = 15.0,
) -> FaultRecord:
    """A fault with T0, its healing, the first failed write, the write that came back (stamps in seconds)."""
    plan = PlannedFault(name=name, at=t0, injector=Kill(target="leader"))
    outage = WriteOutage(seconds(t0))
    outage.ack(seconds(t0), seconds(t0 + 0.001))
    if t1 is not None:
        outage.bad(seconds(t1), seconds(t1 + 0.001))
    if t6 is not None:
        outage.ack(seconds(t6 - 0.001), seconds(t6))
        for later in range(int(t6) + 1, 101):
            outage.ack(seconds(later - 0.001), seconds(later))
    hit = Hit(MEMBER, healed_ns=None if healed is None else seconds(healed))
    injection = Injection(name, "kill", (hit,), seconds(t0), injected_ns=seconds(t0 + 0.3))
    return FaultRecord(plan, injection, outage, leader_before="pg1")


def opened(at: float) -> Window:
    return Window(OpClass.WRITE, seconds(at - 0.5), seconds(at + 1), seconds(at))


def names(windows: list[Window], *faults: FaultRecord) -> list[str | None]:
    return [window.fault for window in tied(tuple(windows), faults, START)]


AFTERMATH = AFTERMATH_NS / NS


@pytest.mark.parametrize(
    ("seen", "fault"),
    [
        (9.9, None),
        (10.0, "kill"),
        (19.0, "kill"),
        (20.0 + AFTERMATH, "kill"),
        (20.1 + AFTERMATH, None),
    ],
)
def test_a_fault_explains_windows_from_t0_until_its_aftermath_is_over(seen: float, fault: str | None):
    assert names([opened(seen)], record()) == [fault]


def test_the_aftermath_counts_from_the_writes_return_if_that_is_later():
    assert names([opened(30.0 + AFTERMATH)], record(t6=30.0)) == ["kill"]


@pytest.mark.parametrize("changes", [{"healed": None}, {"t6": None}])
def test_a_fault_that_is_not_over_explains_all_that_follows(changes: dict[str, Any]):
    assert names([opened(500.0)], record(**changes)) == ["kill"]


def test_of_several_faults_it_is_the_last_one_before_the_window():
    first, second = record("first"), record("second", t0=14.0, healed=24.0, t1=14.5, t6=16.0)
    assert names([opened(13.0), opened(14.2), opened(39.5)], first, second) == ["first", "second", None]


def test_a_fault_that_never_was_explains_nothing():
    absent = FaultRecord(PlannedFault(name="kill", at=10.0, injector=Kill(target="leader")), error="no leader")
    assert names([opened(12.0)], absent) == [None]


def test_connects_have_no_gap_since_few_are_made_while_all_is_well():
    for op_class, gap in ((OpClass.WRITE, 3.0), (OpClass.READ, 3.0), (OpClass.CONNECT, None)):
        window = Window(op_class, seconds(1), seconds(4), seconds(1), longest_gap=(seconds(1), seconds(4)))
        assert tied((window,), (), START)[0].longest_gap_s == gap


class Ticking:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.at_ns = START

    def now(self) -> int:
        return self.at_ns


def measured(*faults: FaultRecord, writes: bool = True, lag_s: float = 0.0, **changes: object) -> Measured:
    ticking = Ticking()
    recorder = Recorder(Clock(now=ticking.now), Windows(), lambda event: None)
    tally = recorder.tally("load", "op", OpClass.WRITE if writes else OpClass.READ)
    for number in range(100):
        tally.attempted += 1
        if number < 90:
            tally.record_ok(seconds(number), seconds(number), seconds(number) + 5_000_000)
        else:
            outcome = Outcome.UNKNOWN if number < 94 else Outcome.FAILED
            recorder.bad(tally, outcome, "x", seconds(number), seconds(number), seconds(number) + 9_000_000)
    if lag_s:
        recorder.lag.record(round(lag_s * NS))
    ticking.at_ns = seconds(100)
    recorder.finish()
    scenario = Scenario(
        name="test",
        description="",
        duration=100.0,
        warm_up=0.0,
        recovery=1.0,
        scale=1,
        streams=(),
        faults=(),
        expectations=(),
        windows=Windows(),
    )
    plain = Measured(
        scenario=scenario,
        seed=1,
        anchor=Anchor(START, datetime(2026, 1, 1, tzinfo=UTC)),
        recorder=recorder,
        load_ended_ns=seconds(100),
        finished_ns=seconds(120),
        faults=faults,
        leader_after="pg2",
        ledger=None,
        whole_again=True,
        interrupted=False,
        warnings=(),
        environment={},
        scenario_file="",
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def summarised(*faults: FaultRecord, expect: dict[str, str] | None = None, **changes: Any) -> Summary:
    found = measured(*faults, **changes)
    limits = tuple(parse_expectation(metric, limit) for metric, limit in (expect or {}).items())
    return summarise(replace(found, scenario=replace(found.scenario, expectations=limits)))


def test_rto_is_t6_minus_t0():
    (fault,) = summarised(record()).faults
    assert (fault.rto_s, fault.recovered, fault.t1_s, fault.t6_s) == (5.0, True, 11.0, 15.0)
    assert (fault.injecting_at_s, fault.injected_at_s, fault.healed_at_s) == (10.0, 10.3, 20.0)
    assert fault.injected_at == "2026-01-01T00:00:10.300Z"
    assert (fault.member, fault.leader_before, fault.leader_after) == ("pg1", "pg1", "pg2")


def test_rto_is_zero_when_no_write_failed():
    (fault,) = summarised(record(t1=None, t6=95.0)).faults
    assert (fault.rto_s, fault.recovered, fault.t1_s, fault.t6_s) == (0.0, True, None, None)
    assert fault.write_gap_s == pytest.approx(84.999), "a long silence without a failure shows here"


def test_rto_is_null_when_writes_did_not_come_back():
    (fault,) = summarised(record(t6=None)).faults
    assert (fault.rto_s, fault.recovered) == (None, False)
    assert fault.write_gap_s == pytest.approx(89.999)


def test_rto_is_null_and_nothing_is_said_of_recovery_without_writes():
    (fault,) = summarised(record(), writes=False).faults
    assert (fault.rto_s, fault.recovered, fault.write_gap_s) == (None, None, None)


def test_counts_rates_and_dates():
    summary = summarised()
    load = summary.load
    assert (load.attempted, load.ok, load.failed, load.unknown, load.shed, load.in_flight) == (100, 90, 6, 4, 0, 0)
    assert (load.offered_per_s, load.ok_per_s, summary.duration_s) == (1.0, 0.9, 100.0)
    assert (summary.started_at, summary.finished_at) == ("2026-01-01T00:00:00.000Z", "2026-01-01T00:02:00.000Z")
    (operation,) = summary.operations
    assert operation.reasons == {"failed/x": 6, "unknown/x": 4}
    assert (summary.latency_ms.response.count, summary.latency_ms.response_all.count) == (90, 100)


MET, MISSED, OPEN = {"ok_rate": ">= 90%"}, {"ok_rate": ">= 91%"}, {"rpo": "== 0"}


@pytest.mark.parametrize(
    ("expect", "changes", "verdict", "why"),
    [
        ({}, {}, Verdict.PASS, ""),
        (MET, {}, Verdict.PASS, ""),
        (MISSED, {}, Verdict.FAIL, "ok_rate >= 91%"),
        (OPEN, {}, Verdict.UNKNOWN, "rpo: no stream runs the ledger workload"),
        (MET | OPEN, {}, Verdict.UNKNOWN, "rpo: no stream runs the ledger workload"),
        (MISSED | OPEN, {}, Verdict.FAIL, "ok_rate >= 91%"),
        (MET, {"interrupted": True}, Verdict.UNKNOWN, "it was stopped early"),
        (MISSED, {"interrupted": True}, Verdict.FAIL, "ok_rate >= 91%; it was stopped early"),
        (MET, {"whole_again": False}, Verdict.FAIL, "the cluster did not become whole again"),
        (
            MET,
            {"whole_again": False, "interrupted": True},
            Verdict.FAIL,
            "the cluster did not become whole again; it was stopped early",
        ),
        ({"p99": "<= 1s"}, {"lag_s": 0.9}, Verdict.PASS, ""),
        (
            {"p99": "<= 1s"},
            {"lag_s": 1.1},
            Verdict.UNKNOWN,
            "p99: the load generator itself was late for too much of the time",
        ),
        (MET, {"lag_s": 1.1}, Verdict.PASS, ""),
    ],
)
def test_fail_outweighs_unknown_outweighs_pass(
    expect: dict[str, str], changes: dict[str, Any], verdict: Verdict, why: str
):
    summary = summarised(expect=expect, **changes)
    assert (summary.verdict, summary.why) == (verdict, why)


def test_trouble_with_a_fault_leaves_the_verdict_open():
    broken = record()
    broken.error = "could not be healed"
    summary = summarised(broken, expect=MET)
    assert (summary.verdict, summary.why) == (Verdict.UNKNOWN, "trouble with kill")
    assert summary.faults[0].error == "could not be healed"


def test_a_measurement_of_no_length_divides_by_nothing():
    summary = summarised(load_ended_ns=START)
    assert (summary.load.offered_per_s, summary.load.ok_per_s, summary.generator.suspect) == (0, 0, False)


def test_the_generator_is_suspect_above_one_percent_of_the_time():
    assert not summarised(lag_s=0.99).generator.suspect
    generator = summarised(lag_s=1.01).generator
    assert generator.suspect
    assert (generator.suspect_share, generator.suspect_intervals) == (pytest.approx(0.0101), 1)
