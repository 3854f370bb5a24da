"""Every figure of ``summary.json`` can be redone from ``samples.parquet``, by code that shares nothing with ours.

A whole run on virtual time with two faults, a freeze and retries, so that every
outcome and every class of operation is there. What is taken from the summary is
only what no operation can know: when faults were injected and healed, and how
long the load lasted.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
from fakes import ClusterServer, FakeDatabase, in_virtual_time, unobserved

from chaosbench.clock import loop_clock
from chaosbench.cluster.fake import FakeCluster
from chaosbench.injectors.kill import Kill
from chaosbench.injectors.pause import Pause
from chaosbench.model.scenario import StreamSettings, Windows
from chaosbench.results import RunDirectory
from chaosbench.scenarios.run import Bench, run_scenario
from chaosbench.scenarios.scenario import Scenario, ScheduledFault, Stream
from chaosbench.sinks.hub import Hub
from chaosbench.sinks.interval_log import IntervalLog
from chaosbench.sinks.samples_file import SamplesFile
from chaosbench.workload import LedgerWorkload, SelectOnly

QUIET, GAP, AFTERMATH = 2_000_000_000, 50_000_000, 15_000_000_000
Row = dict[str, Any]


def scenario() -> Scenario:
    def settings(**stream: object) -> StreamSettings:
        return StreamSettings(timeout="1s", deadline="0.8s", backlog=60, connect_timeout="0.5s", **stream)  # type: ignore[arg-type]

    return Scenario(
        name="redo",
        description="",
        duration=60.0,
        warm_up=1.0,
        recovery=20.0,
        scale=1,
        streams=(
            Stream(
                name="readers", workload=SelectOnly(), settings=settings(rate="80/s", arrivals="poisson", connections=4)
            ),
            Stream(name="ledger", workload=LedgerWorkload(retries=1), settings=settings(rate="50/s", connections=6)),
            Stream(name="circle", workload=LedgerWorkload(), settings=settings(clients=2, think="30ms")),
        ),
        faults=(
            ScheduledFault.once("kill-leader", 5.0, Kill(target="leader", hold="3s")),  # type: ignore[arg-type]
            ScheduledFault.once("freeze", 32.0, Pause(target="leader", hold="1s")),  # type: ignore[arg-type]
        ),
        expectations=(),
        windows=Windows(),
    )


async def _run(directory: Path) -> None:
    clock = loop_clock()
    cluster = FakeCluster(clock, failover_delay=4.0)
    server = ClusterServer(cluster, clock)
    anchor = clock.anchor()
    hub = Hub(
        [SamplesFile(directory / "samples.parquet", anchor), IntervalLog(directory / "intervals.hlog", anchor)], clock
    )
    stop = asyncio.Event()
    bench = Bench(
        cluster=cluster,
        database=FakeDatabase(server),
        hub=hub,
        clock=clock,
        anchor=anchor,
        seed=1,
        stop=stop,
        observe=unobserved,
        samples=True,
    )
    loop = asyncio.get_running_loop()

    def freeze() -> None:
        server.behaviour = server.freezes

    def thaw() -> None:
        server.behaviour = server.follows

    def back() -> None:
        server.accepts = True

    # The measurement begins at about 1.5 s. Beside the faults: a freeze (time-outs, retries), a server that is gone.
    for at, call in ((25.0, freeze), (28.0, thaw), (33.0, server.dies), (35.0, back), (50.0, freeze), (50.7, thaw)):
        loop.call_later(at, call)
    summary = await run_scenario(scenario(), bench)
    hub.close()
    RunDirectory(directory).write(summary)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("run")
    in_virtual_time(_run(directory))
    return directory


@pytest.fixture(scope="module")
def summary(run: Path) -> dict[str, Any]:
    return dict(json.loads((run / "summary.json").read_text()))


@pytest.fixture(scope="module")
def rows(run: Path) -> list[Row]:
    return list(pyarrow.parquet.read_table(run / "samples.parquet").to_pylist())


def us(nanoseconds: int) -> int:
    return nanoseconds // 1000


def seconds(nanoseconds: int) -> float:
    return round(nanoseconds / 1e9, 6)


def operations(rows: Iterable[Row]) -> list[Row]:
    return [row for row in rows if row["class"] != "connect"]


def check_counts(counts: dict[str, int], rows: list[Row]) -> None:
    found = Counter(row["outcome"] for row in rows)
    assert counts["attempted"] == len(rows)
    assert {name: counts[name] for name in ("ok", "failed", "unknown", "shed")} == {
        name: found[name] for name in ("ok", "failed", "unknown", "shed")
    }
    assert counts["in_flight"] == 0


def check_percentiles(figures: dict[str, Any], values_us: list[int]) -> None:
    ranked = sorted(values_us)
    assert figures["count"] == len(ranked)
    if not ranked:
        assert all(value is None for name, value in figures.items() if name != "count")
        return
    for name, percent in (("p50", 50), ("p90", 90), ("p99", 99), ("p999", 99.9)):
        rank = max(1, math.floor(percent * len(ranked) / 100 + 0.5))
        exact = ranked[rank - 1] / 1000
        assert exact <= figures[name] <= exact * 1.01 + 1e-9, name
    assert figures["max"] == ranked[-1] / 1000
    assert figures["mean"] == pytest.approx(sum(ranked) / len(ranked) / 1000, abs=0.0006)


def check_latency(figures: dict[str, Any], rows: list[Row]) -> None:
    ok = [row for row in rows if row["outcome"] == "ok"]
    sent = [row for row in rows if row["sent"] is not None]
    check_percentiles(figures["response"], [us(row["done"] - row["intended"]) for row in ok])
    check_percentiles(figures["service"], [us(row["done"] - row["sent"]) for row in ok])
    check_percentiles(figures["response_all"], [us(row["done"] - row["intended"]) for row in rows])
    check_percentiles(figures["service_all"], [us(row["done"] - row["sent"]) for row in sent])


def test_it_is_a_run_worth_redoing(rows: list[Row], summary: dict[str, Any]):
    outcomes = Counter((row["class"], row["outcome"]) for row in rows)
    assert {
        ("read", "shed"),
        ("write", "unknown"),
        ("write", "failed"),
        ("connect", "failed"),
        ("read", "failed"),
    } <= set(outcomes)
    assert max(row["attempts"] for row in rows) == 2
    assert len(summary["error_windows"]) >= 6
    assert {window["fault"] for window in summary["error_windows"]} == {None, "kill-leader", "freeze"}
    assert all(fault["rto_s"] for fault in summary["faults"])


def test_counts_rates_and_latencies(rows: list[Row], summary: dict[str, Any]):
    load = operations(rows)
    check_counts(summary["load"], load)
    check_counts(summary["connects"], [row for row in rows if row["class"] == "connect"])
    lasted = summary["duration_s"]
    assert summary["load"]["offered_per_s"] == pytest.approx(len(load) / lasted, rel=1e-4)
    assert summary["load"]["ok_per_s"] == pytest.approx(sum(row["outcome"] == "ok" for row in load) / lasted, rel=1e-4)
    check_latency(summary["latency_ms"], load)


def test_each_operation(rows: list[Row], summary: dict[str, Any]):
    by_kind: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        by_kind.setdefault((row["workload"], row["operation"], row["class"]), []).append(row)
    reports = {(one["workload"], one["operation"], one["op_class"]): one for one in summary["operations"]}
    assert {kind for kind, one in reports.items() if one["counts"]["attempted"]} == set(by_kind)
    for kind, found in by_kind.items():
        check_counts(reports[kind]["counts"], found)
        check_latency(reports[kind]["latency_ms"], found)
        reasons = Counter(f"{row['outcome']}/{row['reason']}" for row in found if row["outcome"] != "ok")
        assert reports[kind]["reasons"] == dict(reasons)


def windows(rows: list[Row]) -> list[list[Row]]:
    """By definition: bad operations whose spans, each with the quiet period after it, touch one another."""
    found: list[list[Row]] = []
    for op_class in ("connect", "read", "write"):
        end = -math.inf
        bad = [row for row in rows if row["class"] == op_class and row["outcome"] != "ok"]
        for row in sorted(bad, key=lambda row: row["intended"]):
            if row["intended"] >= end + QUIET:
                found.append([])
                end = -math.inf
            found[-1].append(row)
            end = max(end, row["done"])
    return sorted(found, key=lambda window: min(row["intended"] for row in window))


def longest_gap(rows: list[Row], op_class: str, start: int, end: int) -> float | None:
    """The longest stretch between two successes that touches the window, of those over 50 ms."""
    if op_class == "connect":
        return None
    acks = [0, *(row["done"] for row in rows if row["class"] == op_class and row["outcome"] == "ok")]
    gaps = [b - a for a, b in pairwise(acks) if a <= end and b >= start and b - a > GAP]
    return seconds(max(gaps)) if gaps else None


def opener(window: list[Row], faults: list[dict[str, Any]]) -> str | None:
    """The last fault injected before the window's first error was seen, as long as it can still explain one."""
    seen = min(row["done"] for row in window) / 1e9
    reaching = [
        (fault["injecting_at_s"], fault["name"])
        for fault in faults
        if fault["injecting_at_s"] <= seen <= max(fault["healed_at_s"], fault["t6_s"] or 0) + AFTERMATH / 1e9
    ]
    return max(reaching)[1] if reaching else None


def test_error_windows(rows: list[Row], summary: dict[str, Any]):
    redone = windows(rows)
    reported = sorted(summary["error_windows"], key=lambda window: window["start_s"])
    assert len(redone) == len(reported)
    for window, report in zip(redone, reported, strict=True):
        start, end = min(row["intended"] for row in window), max(row["done"] for row in window)
        counts = Counter(row["outcome"] for row in window)
        assert {row["class"] for row in window} == {report["op_class"]}
        assert (report["start_s"], report["end_s"]) == (seconds(start), seconds(end))
        assert report["duration_s"] == seconds(end - start)
        assert report["longest_gap_s"] == longest_gap(rows, report["op_class"], start, end)
        assert {name: report[name] for name in ("failed", "unknown", "shed")} == {
            name: counts[name] for name in ("failed", "unknown", "shed")
        }
        assert report["fault"] == opener(window, summary["faults"])


def test_t1_t6_and_rto(rows: list[Row], summary: dict[str, Any]):
    writes = [row for row in rows if row["class"] == "write"]
    for fault in summary["faults"]:
        t0 = round(fault["injecting_at_s"] * 1e9)
        after = [row for row in writes if row["done"] >= t0]
        t1 = min(max(t0, row["intended"]) for row in after if row["outcome"] != "ok")
        acks = [(row["intended"], row["done"]) for row in after if row["outcome"] == "ok"]
        stamps = [t0, *(done for _, done in acks)]
        gap, recovered = max((b - a, b) for a, b in pairwise(stamps))
        t6 = next(done for intended, done in acks if done >= recovered and intended >= t1)
        assert fault["t1_s"] == pytest.approx(seconds(t1), abs=2e-6)
        assert fault["t6_s"] == pytest.approx(seconds(t6), abs=2e-6)
        assert fault["rto_s"] == pytest.approx(seconds(t6 - t0), abs=2e-6)
        assert fault["write_gap_s"] == pytest.approx(seconds(gap), abs=2e-6)
