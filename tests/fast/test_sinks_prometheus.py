"""Live metrics: a page parses, its figures are right, its counters never fall, its labels are bounded."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from sinks_cases import T0, Bench, event

from chaosbench.clock import NS
from chaosbench.errors import PreflightError
from chaosbench.events import Event, Kind
from chaosbench.histogram import HIGHEST_US, Histogram, cell_of, highest_of
from chaosbench.outcome import OpClass, Outcome
from chaosbench.sinks.buckets import LAG, LATENCY, Ladder
from chaosbench.sinks.happenings import NAMES_KEPT, REASONS_KEPT
from chaosbench.sinks.measured import FAULTS_KEPT, SCENARIOS_KEPT
from chaosbench.sinks.prometheus import PIECE, PrometheusSink

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


async def scraped(sink: PrometheusSink) -> Samples:
    """Every sample of the page; that there is only one of each is checked on the way."""
    found: Samples = {}
    page = (await sink.render()).decode()
    heads = [line for line in page.splitlines() if line.startswith("#")]
    assert len(heads) == len(set(heads))
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found
            found[key] = sample.value
    return found


def value(samples: Samples, name: str, **labels: str) -> float:
    """The sum of the samples of that name that carry these labels; ``cls`` stands for ``class``."""
    wanted = {("class" if key == "cls" else key, text) for key, text in labels.items()}
    found = [one for (sample, has), one in samples.items() if sample == "chaosbench_" + name and wanted <= has]
    assert found, f"no {name} {labels}"
    return sum(found)


def buckets(samples: Samples, name: str, **labels: str) -> dict[str, float]:
    """``le`` to count."""
    wanted = set(labels.items())
    return {
        dict(has)["le"]: one
        for (sample, has), one in samples.items()
        if sample == f"chaosbench_{name}_bucket" and wanted <= has
    }


async def test_a_page_before_anything_happened() -> None:
    samples = await scraped(PrometheusSink())
    assert value(samples, "backlog") == 0
    assert value(samples, "error_windows_total", cls="write") == 0
    assert value(samples, "build_info") == 1


async def test_counts_are_those_of_the_tallies() -> None:
    bench, sink = Bench(), PrometheusSink()
    bench.ok(7)
    bench.ok(5, op_class=OpClass.READ)
    bench.bad(2)
    bench.bad(3, Outcome.UNKNOWN, "08006")
    bench.bad(4, Outcome.SHED, "deadline")
    bench.tally().attempted += 6
    bench.recorder.backlog = 3
    sink.on_tick(bench.recorder)
    samples = await scraped(sink)
    assert value(samples, "queries_total", cls="write", outcome="ok", reason="") == 7
    assert value(samples, "queries_total", cls="read") == 5
    assert value(samples, "queries_total", outcome="failed", reason="57P01") == 2
    assert value(samples, "queries_total", outcome="unknown", reason="08006") == 3
    assert value(samples, "queries_total", outcome="shed", reason="deadline") == 4
    assert value(samples, "shed_total", cls="write") == 4
    assert value(samples, "offered_total", cls="write") == 22
    assert value(samples, "in_flight", cls="write") == 6
    assert value(samples, "backlog") == 3


async def test_latencies_are_in_the_right_buckets() -> None:
    bench, sink = Bench(), PrometheusSink()
    for ms in (0.1, 1.0, 1.4, 2.0, 2.1, 100.0, 5000.0, 60_000.0, 61_000.0):
        bench.ok(ms=ms)
    bench.bad(ms=40)
    bench.bad(outcome=Outcome.SHED, ms=6000)
    sink.on_tick(bench.recorder)
    samples = await scraped(sink)
    counts = buckets(samples, "query_latency_seconds", outcome="ok")
    expected = {"0.0002": 1, "0.0007": 1, "0.001": 2, "0.0015": 3, "0.002": 4, "0.003": 5, "0.07": 5, "0.1": 6}
    expected |= {"3.0": 6, "5.0": 7, "45.0": 7, "60.0": 8, "+Inf": 9}
    assert {le: counts[le] for le in expected} == expected
    assert list(counts.values()) == sorted(counts.values())
    assert value(samples, "query_latency_seconds_count", outcome="ok") == 9
    assert value(samples, "query_latency_seconds_sum", outcome="ok") == pytest.approx(126.1066)
    assert value(samples, "query_latency_seconds_count", outcome="not_ok") == 2
    assert value(samples, "query_service_seconds_count", outcome="not_ok") == 1


@given(
    st.lists(st.integers(0, 2 * HIGHEST_US), max_size=50), st.sampled_from([LATENCY, LAG, Ladder(0.001), Ladder(60.0)])
)
def test_cumulative_counts_are_right_to_the_width_of_a_cell(recorded: list[int], ladder: Ladder) -> None:
    histogram = Histogram()
    for one in recorded:
        histogram.record(one)
    cumulative = ladder.cumulative(ladder.count(histogram))
    assert [le for le, _ in cumulative] == [*(str(bound) for bound in ladder.bounds), "+Inf"]
    assert cumulative[-1][1] == len(recorded)
    for (_, count), bound in zip(cumulative, ladder.bounds, strict=False):
        bound_us = round(bound * 1e6)
        above = min(highest_of(cell_of(bound_us)), HIGHEST_US)
        assert sum(one <= bound_us for one in recorded) <= count <= sum(one <= above for one in recorded)


def test_there_are_as_many_buckets_as_prometheus_likes() -> None:
    assert 20 <= len(LATENCY.bounds) <= 40
    assert list(LATENCY.bounds) == sorted(LATENCY.bounds)


async def test_no_counter_falls_when_the_recorder_is_replaced() -> None:
    bench, sink = Bench(), PrometheusSink()
    earlier: Samples = {}
    for round_ in range(5):
        recorder = bench.renewed()
        for step in range(3):
            bench.now_ns += 5 * NS
            bench.ok(3)
            bench.bad(1 + round_, reason=f"reason{step}")
            recorder.lag.record(12_000_000)
            recorder.advance()
            sink.on_tick(recorder)
            now = await scraped(sink)
            for (name, labels), before in earlier.items():
                if name.endswith(("_total", "_bucket", "_sum", "_count")):
                    assert now[name, labels] >= before, (name, labels)
            earlier = now
    assert value(earlier, "queries_total", outcome="ok") == 45
    assert value(earlier, "queries_total", outcome="failed") == 45
    assert value(earlier, "query_latency_seconds_count", outcome="ok") == 45
    assert value(earlier, "generator_suspect_total") == 15
    assert value(earlier, "loop_lag_seconds_count") == 15
    assert value(earlier, "in_flight") == 0


async def test_an_operation_that_ends_after_its_recorder_was_replaced_still_counts() -> None:
    bench, sink = Bench(), PrometheusSink()
    warm_up = bench.recorder
    tally = bench.tally()
    tally.attempted += 2
    sink.on_tick(warm_up)
    sink.on_tick(bench.renewed())
    assert value(await scraped(sink), "in_flight", cls="write") == 2
    tally.record_ok(bench.now_ns, bench.now_ns, bench.now_ns)
    warm_up.bad(tally, Outcome.FAILED, "57P01", bench.now_ns, bench.now_ns, bench.now_ns)
    samples = await scraped(sink)
    assert value(samples, "queries_total", outcome="ok") == 1
    assert value(samples, "queries_total", outcome="failed") == 1
    assert value(samples, "in_flight") == 0
    assert sink._totals._retired == []


async def test_replaced_recorders_are_let_go_even_if_something_of_theirs_never_ends() -> None:
    bench, sink = Bench(), PrometheusSink()
    for _ in range(20):
        bench.renewed()
        bench.ok(2)
        bench.tally().attempted += 1
        sink.on_tick(bench.recorder)
    assert len(sink._totals._retired) <= 2
    assert value(await scraped(sink), "queries_total") == 40


def labels_of(samples: Samples, name: str) -> Iterator[dict[str, str]]:
    return (dict(has) for (sample, has) in samples if sample == "chaosbench_" + name)


async def test_labels_are_bounded() -> None:
    bench, sink = Bench(), PrometheusSink()
    for number in range(5 * REASONS_KEPT):
        bench.bad(reason=f"reason {number}")
        for kind in (Kind.FAULT_INJECTED, Kind.FAULT_HEALED):
            sink.on_event(event(kind, fault=f"fault {number}", target=f"pg{number}"))
        sink.on_event(event(Kind.LEADER_CHANGED, leader=f"pg{number}"))
    sink.on_tick(bench.recorder)
    samples = await scraped(sink)
    assert len({row["reason"] for row in labels_of(samples, "queries_total")}) == REASONS_KEPT + 2
    assert value(samples, "queries_total", outcome="failed") == 5 * REASONS_KEPT
    assert value(samples, "queries_total", reason="other") == 4 * REASONS_KEPT
    assert len(list(labels_of(samples, "fault_active"))) == NAMES_KEPT
    assert len(list(labels_of(samples, "faults_total"))) <= NAMES_KEPT + 3
    assert value(samples, "faults_total", result="healed") == 5 * REASONS_KEPT
    assert len(list(labels_of(samples, "leader"))) <= NAMES_KEPT


async def test_what_scenarios_gave_is_bounded_and_no_count_is_lost() -> None:
    sink = PrometheusSink()
    rounds = 3 * max(FAULTS_KEPT, SCENARIOS_KEPT)
    for number in range(rounds):
        name = f"scenario {number}"
        sink.on_event(event(Kind.TRIAL_STARTED, scenario=name, trial=number))
        sink.on_event(event(Kind.SCENARIO_STARTED, scenario=name))
        sink.on_event(event(Kind.FAULT_MEASURED, scenario=name, fault=f"fault {number}"))
        sink.on_event(event(Kind.LEDGER_COMPARED, scenario=name))
        sink.on_event(event(Kind.SCENARIO_FINISHED, scenario=name))
    samples = await scraped(sink)
    assert len(list(labels_of(samples, "rto_seconds"))) == FAULTS_KEPT
    assert len(list(labels_of(samples, "phase_seconds"))) == 5 * FAULTS_KEPT
    assert value(samples, "rto_seconds", scenario=f"scenario {rounds - 1}", trial=str(rounds - 1)) == 19.5
    for name, labels in (("faults_measured_total", {"result": "recovered"}), ("verdicts_total", {"verdict": "pass"})):
        assert len({row["scenario"] for row in labels_of(samples, name)}) == SCENARIOS_KEPT + 1
        assert value(samples, name, **labels) == rounds
    assert value(samples, "ledger_rows_total", result="lost") == 2 * rounds
    assert len(list(labels_of(samples, "trial"))) == 0


async def test_counters_of_a_scenario_begin_at_zero() -> None:
    sink = PrometheusSink()
    sink.on_event(event(Kind.SCENARIO_STARTED))
    samples = await scraped(sink)
    assert value(samples, "faults_total", fault="leader-dies", result="heal_failed") == 0
    assert value(samples, "faults_measured_total", scenario="leader-kill", result="not_recovered") == 0
    assert value(samples, "verdicts_total", scenario="leader-kill", verdict="fail") == 0


async def test_a_ledger_that_could_not_be_compared_lost_nothing_that_is_known() -> None:
    sink = PrometheusSink()
    sink.on_event(event(Kind.LEDGER_COMPARED, checked=False, lost=0))
    samples = await scraped(sink)
    assert value(samples, "ledgers_unchecked_total") == 1
    assert value(samples, "ledger_rows_total", result="acked") == 48_613
    assert value(samples, "ledger_rows_total", result="lost") == 0


async def test_the_last_figures_are_fetched_by_whoever_came_regularly() -> None:
    sink = PrometheusSink(0)
    await sink.start()
    try:
        loop = asyncio.get_running_loop()
        began = loop.time()
        await sink.last_look()
        assert loop.time() - began < 0.05, "nobody came"
        async with aiohttp.ClientSession() as session:
            url = f"http://127.0.0.1:{sink.port}/metrics"
            for _ in range(2):
                await (await session.get(url)).read()
                await asyncio.sleep(0.2)
            waiting = asyncio.create_task(sink.last_look())
            await asyncio.sleep(0.1)
            assert not waiting.done()
            sink.on_event(event(Kind.SCENARIO_FINISHED))
            text = await (await session.get(url)).text()
            assert 'verdict="pass"} 1.0' in text
            await asyncio.wait_for(waiting, 0.1)
            began = loop.time()
            await sink.last_look()
            assert 0.3 < loop.time() - began < 3, "one that stays away is waited for a little longer than its pace"
    finally:
        await sink.stop()


async def test_strange_names_do_not_break_the_page() -> None:
    bench, sink = Bench(), PrometheusSink()
    bench.recorder.tally('a "b"\\', "c\nd", OpClass.READ).attempted += 4
    sink.on_tick(bench.recorder)
    assert value(await scraped(sink), "offered_total", workload='a "b"\\', operation="c\nd") == 4


async def test_faults_are_active_until_healed() -> None:
    sink = PrometheusSink()
    sink.on_event(event(Kind.FAULT_INJECTED))
    samples = await scraped(sink)
    assert value(samples, "fault_active", fault="leader-dies", injector="kill", target="pg1") == 1
    sink.on_event(event(Kind.HEAL_FAILED))
    assert value(await scraped(sink), "fault_active") == 1
    sink.on_event(event(Kind.FAULT_HEALED))
    samples = await scraped(sink)
    assert value(samples, "fault_active") == 0
    for result in ("injected", "heal_failed", "healed"):
        assert value(samples, "faults_total", fault="leader-dies", result=result) == 1
    sink.on_event(event(Kind.FAULT_FAILED))
    assert value(await scraped(sink), "faults_total", result="failed") == 1


async def test_one_leader_at_a_time() -> None:
    bench, sink = Bench(), PrometheusSink()
    bench.recorder.leader = "pg1"
    sink.on_tick(bench.recorder)
    sink.on_event(event(Kind.LEADER_CHANGED, leader="pg2"))
    samples = await scraped(sink)
    assert (value(samples, "leader", node="pg1"), value(samples, "leader", node="pg2")) == (0, 1)
    sink.on_event(event(Kind.LEADER_CHANGED, leader=None))
    assert value(await scraped(sink), "leader") == 0


async def test_error_windows() -> None:
    bench, sink = Bench(), PrometheusSink()

    async def now() -> tuple[float, float, float]:
        while bench.told:
            sink.on_event(bench.told.pop(0))
        sink.on_tick(bench.recorder)
        samples = await scraped(sink)
        names = ("error_windows_total", "error_window_open", "error_window_seconds_total")
        return tuple(value(samples, name, cls="write") for name in names)  # type: ignore[return-value]

    assert await now() == (0, 0, 0)
    bench.bad(ms=500)
    assert await now() == (1, 1, 0.5)
    for _ in range(30):
        bench.now_ns += NS // 10
        bench.recorder.advance()
    assert await now() == (1, 0, 0.5)
    bench.bad(ms=2900)  # it was under way when the window was taken for closed
    assert await now() == (1, 1, 3.5)
    bench.recorder.finish()
    bench.renewed()
    assert await now() == (1, 0, 3.5)


async def test_the_scenario_that_runs() -> None:
    sink = PrometheusSink()
    sink.on_event(event(Kind.RUN_STARTED))
    sink.on_event(event(Kind.SCENARIO_STARTED))
    samples = await scraped(sink)
    assert value(samples, "scenario_info", scenario="leader-kill", file="scenarios.yaml", seed="42") == 1
    sink.on_event(event(Kind.SCENARIO_FINISHED))
    assert not list(labels_of(await scraped(sink), "scenario_info"))


async def test_every_kind_of_event_is_taken() -> None:
    sink = PrometheusSink()
    for kind in Kind:
        sink.on_event(event(kind))
    sink.on_event(Event(T0, Kind.WARNING, {}))
    assert await scraped(sink)


async def test_the_loop_runs_while_a_page_is_made() -> None:
    bench, sink = Bench(), PrometheusSink()
    for number in range(12):
        tally = bench.tally(operation=f"operation {number}")
        tally.attempted += 1
        tally.record_ok(0, 0, 1_000_000)
        bench.recorder.bad(tally, Outcome.FAILED, "57P01", 0, 0, 1_000_000)
        tally.attempted += 1
    sink.on_tick(bench.recorder)
    turns = 0

    async def other_work() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    working = asyncio.create_task(other_work())
    page = await sink.render()
    working.cancel()
    samples = sum(not line.startswith(b"#") for line in page.splitlines())
    assert samples > 1500
    assert turns >= samples / PIECE


async def test_the_page_is_served_and_the_port_given_back() -> None:
    bench, sink = Bench(), PrometheusSink(0)
    bench.ok(3)
    sink.on_tick(bench.recorder)
    await sink.start()
    try:
        url = f"http://127.0.0.1:{sink.port}/metrics"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            assert answer.status == 200
            assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
            assert 'outcome="ok",reason="",workload="load"} 3.0' in await answer.text()
        again = PrometheusSink(sink.port)
        with pytest.raises(PreflightError) as refused:
            await again.start()
        assert str(refused.value) == (
            f"no live metrics: port {sink.port} on 127.0.0.1 is in use, perhaps by another chaosbench run; "
            "end that program or choose another port with --metrics-port"
        )
        await again.stop()
        port = sink.port
    finally:
        await sink.stop()
    await sink.stop()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
