"""Stale reads: held against brute force, and a workload's own view of a server that answers late."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from fakes import FakeConnection, FakeServer
from hypothesis import given
from hypothesis import strategies as st
from summaries import summary

from chaosbench.clock import loop_clock
from chaosbench.engine import Attempt
from chaosbench.expectations import judge, parse_expectation
from chaosbench.ledger import Ledger
from chaosbench.model.consistency import Ages, Consistency, NodeReads, StaleReadsReport
from chaosbench.model.report import Verdict
from chaosbench.outcome import OpClass
from chaosbench.staleness import KEPT, Register, Registers
from chaosbench.workload import Context, StaleReads

MS = 1_000_000


def written(*acks: tuple[int, int]) -> Register:
    register = Register()
    for value, done_ns in acks:
        register.acknowledged(value, done_ns)
    return register


@pytest.mark.parametrize(
    ("acks", "value", "sent_ns", "age_ns"),
    [
        pytest.param([], 0, 5, None, id="nothing was acknowledged yet"),
        pytest.param([(1, 10)], 1, 20, None, id="the newest"),
        pytest.param([(1, 10)], 2, 20, None, id="newer than any acknowledged: its write is still under way"),
        pytest.param([(1, 10), (2, 20)], 1, 50, 30, id="one behind"),
        pytest.param([(1, 10), (2, 20), (3, 40)], 1, 50, 30, id="two behind: since the first newer one"),
        pytest.param([(1, 10), (2, 20)], 0, 50, 40, id="no row there yet"),
        pytest.param([(1, 10), (2, 20)], 1, 20, None, id="sent in the instant of the acknowledgement"),
        pytest.param([(1, 10), (2, 60)], 1, 50, None, id="acknowledged after it was sent"),
        pytest.param([(1, 10), (3, 20), (2, 30)], 2, 50, 30, id="acknowledged out of order"),
        pytest.param([(1, 10), (3, 20), (2, 30)], 1, 25, 5, id="the overtaken one does not count"),
    ],
)
def test_ages(acks: list[tuple[int, int]], value: int, sent_ns: int, age_ns: int | None):
    assert written(*acks).age_ns(value, sent_ns) == age_ns


@given(st.permutations(range(1, 9)), st.lists(st.integers(0, 3), min_size=8, max_size=8), st.integers(0, 8), st.data())
def test_ages_agree_with_the_definition(order: list[int], pauses: list[int], value: int, data: st.DataObject):
    """Of all newer values, the one whose acknowledgement came first, if it came before the read was sent."""
    acks, now = [], 0
    for one, pause in zip(order, pauses, strict=True):
        now += pause
        acks.append((one, now))
    sent_ns = data.draw(
        st.integers(now, now + 10)
    )  # the register is fed what was acknowledged before the read returned
    known = [done_ns for one, done_ns in acks if one > value and done_ns < sent_ns]
    assert written(*acks).age_ns(value, sent_ns) == (sent_ns - min(known) if known else None)


def test_memory_is_bounded_and_what_is_older_is_at_least_that_old():
    register = written(*((value, value) for value in range(1, KEPT + 101)))
    assert register.age_ns(0, KEPT + 200) == KEPT + 200 - 101
    assert register.age_ns(KEPT + 99, KEPT + 200) == 100


def test_the_measurement_starts_counting_anew_and_forgets_no_value():
    registers = Registers(run=1)
    registers.register(3).acknowledged(registers.register(3).next(), 10)
    registers.read(3, 0, 5 * MS, "10.0.0.2")
    registers.begin()
    assert (registers.reads.total(), registers.ages.total) == (0, 0)
    registers.read(3, 0, 7 * MS, "10.0.0.2")
    registers.read(3, 1, 7 * MS, "10.0.0.1")
    assert registers.reads == {"10.0.0.1": 1, "10.0.0.2": 1}
    assert registers.stale == {"10.0.0.2": 1}
    assert registers.ages.max_us == 6999


@pytest.mark.looptime(noop_cycles=0)
async def test_the_workload_writes_reads_and_finds_what_is_old():
    clock = loop_clock()
    server = FakeServer(clock, latency=0.25)
    there = {"value": 0}
    server.row = lambda sql, args: ("10.0.0.2", there["value"])  # type: ignore[method-assign]
    context = Context(scale=1, ledger=Ledger(run=5), registers=Registers(run=5), now=clock.now)
    context.ledger.servings.named("10.0.0.2", "pg2")
    workload = StaleReads(registers=1).start(context)
    session, attempt = await workload.open(FakeConnection(server), random.Random(1)), Attempt()
    read, write = 0, 1
    assert [operation.op_class for operation in workload.operations] == [OpClass.READ, OpClass.WRITE]

    await session.run(write, attempt)
    assert attempt.effect_sent
    assert server.log[-1][1] == (5, 0, 1)
    attempt.effect_sent = False
    await clock.sleep(0.5)
    await session.run(read, attempt)  # sent 0.5 s after value 1 was acknowledged
    there["value"] = 1
    await session.run(read, attempt)
    assert not attempt.effect_sent
    assert attempt.node == "pg2"
    found = context.registers
    assert (found.reads["10.0.0.2"], found.stale["10.0.0.2"], found.ages.max_us) == (2, 1, 500_000)


@pytest.mark.parametrize("ratio", [0.0, 0.3, 1.0])
def test_the_ratio_is_kept(ratio: float):
    workload = StaleReads(read_ratio=ratio).start(Context(scale=1, ledger=Ledger(run=1)))
    rng = random.Random(1)
    reads = sum(workload.pick(rng) == 0 for _ in range(10_000))
    assert reads / 10_000 == pytest.approx(ratio, abs=0.015)


FOUND = StaleReadsReport(
    reads=100,
    stale=4,
    share=0.04,
    age_ms=Ages(p50=1.0, p90=2.0, p99=3.0, max=4.5),
    nodes=(NodeReads(node="pg2", reads=100, stale=4),),
)


@pytest.mark.parametrize(
    ("metric", "limit", "verdict", "value"),
    [
        ("stale_rate", "<= 5%", Verdict.PASS, 0.04),
        ("stale_rate", "== 0", Verdict.FAIL, 0.04),
        ("stale_p99", "<= 3ms", Verdict.PASS, 3.0),
        ("stale_max", "<= 4ms", Verdict.FAIL, 4.5),
    ],
)
def test_expectations(metric: str, limit: str, verdict: Verdict, value: float):
    report = judge(parse_expectation(metric, limit), summary(consistency=Consistency(stale_reads=FOUND)))
    assert (report.verdict, report.value) == (verdict, value)


def test_fresh_reads_have_an_age_of_nothing_and_no_reads_have_none():
    fresh = replace(FOUND, stale=0, share=0.0, age_ms=Ages(p50=None, p90=None, p99=None, max=None))
    expectation = parse_expectation("stale_max", "<= 1ms")
    assert judge(expectation, summary(consistency=Consistency(stale_reads=fresh))).verdict is Verdict.PASS
    assert judge(expectation, summary()).verdict is Verdict.UNKNOWN
