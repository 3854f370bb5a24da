"""The benchmarks' own arithmetic: verdicts, medians, other programs' reports, the server that stalls."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from bench import peers, results
from bench.__main__ import BEGIN, END, PAGE
from bench.directory import File, growth, looked_at
from bench.memory import slope
from bench.open_loop import lateness_while_free
from bench.results import Report, Section, Target, Verdict, markdown, measured, merge, ratios, read, write
from bench.rows import NAMES
from bench.surroundings import Place
from chaosbench.errors import UndeterminedError
from chaosbench.histogram import Histogram
from chaosbench.sinks.interval_log import line
from tests.stalling import stalling

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("rounds", "target", "verdict"),
    [
        ([1.0, 3.0, 2.0], Target("<=", 2.0), Verdict.MET),
        ([1.0, 3.0, 2.1], Target("<=", 2.0), Verdict.MISSED),
        ([0.96, 0.98, 0.97], Target(">=", 0.97), Verdict.MET),
        ([0.96, 0.96, 0.99], Target(">=", 0.97), Verdict.MISSED),
        ([5.0], None, Verdict.STATED),
    ],
)
def test_the_median_is_held_against_the_target(rounds: list[float], target: Target | None, verdict: Verdict):
    assert measured("m", rounds, "x", target).verdict is verdict


def test_a_ratio_is_made_within_a_round():
    # The second round was half as fast for everybody.
    assert ratios([100.0, 50.0], [50.0, 25.0]) == [2.0, 2.0]
    with pytest.raises(ValueError, match="longer"):
        ratios([1.0], [1.0, 2.0])


def section(name: str, value: float) -> Section:
    row = measured("m", [value, value], "x", Target("<=", 1.0), {"theirs/s": [1.0, 2.0, 3.0]})
    return Section(name=name, at="2026-01-01T00:00:00+00:00", seconds=1.0, commit="abc", quick=False, rows=(row,))


def test_a_section_takes_the_place_of_the_one_before(tmp_path: Path):
    first = merge(Report(machine={"cpu": "c"}), [section("b", 2.0), section("a", 2.0)], ("a", "b"))
    assert [one.name for one in first.sections] == ["a", "b"]
    assert first.missed == 2
    second = merge(first, [section("a", 0.5)], ("a", "b"))
    assert [one.rows[0].value for one in second.sections] == [0.5, 2.0]
    assert second.missed == 1
    write(tmp_path / "r.json", second)
    assert read(tmp_path / "r.json") == second
    assert "| m | 2 x (2 to 2) | ≤ 1 | missed | theirs/s 2 |" in markdown(second)


PGBENCH = """pgbench (15.18 (Debian 15.18-0+deb12u1), server 17.11 (Debian 17.11-0+deb13u1))
transaction type: <builtin: select only>
scaling factor: 1
query mode: prepared
number of clients: 8
number of threads: 1
maximum number of tries: 1
duration: 2 s
number of transactions actually processed: 6650
number of failed transactions: {failed} (0.000%)
latency average = 2.407 ms
initial connection time = 31.270 ms
tps = 3323.861412 (without initial connection time)
"""
SYSBENCH = """SQL statistics:
    queries performed:
        read:                            8000
        total:                           8000
    transactions:                        8000   ({rate} per sec.)
    queries:                             8000   (999.83 per sec.)

General statistics:
    total time:                          8.0012s
    total number of events:              8000
"""


def test_pgbench_is_given_more_time_until_connecting_leaves_enough(monkeypatch: pytest.MonkeyPatch):
    report = PGBENCH.format(failed=0)
    reports = [
        report[: report.index("latency")],
        report.replace("31.270", "4500.0"),
        report.replace("31.270", "5000.0"),
    ]
    given: list[str] = []

    def output(command: list[str], environment: object, spare: float) -> str:
        given.append(command[-1])
        return reports[len(given) - 1]

    monkeypatch.setattr(peers, "output", output)
    monkeypatch.setattr(peers, "program", lambda name: name)
    waited: list[int] = []
    assert peers.pgbench(
        Place("Pgpool", 1), "select-only", 250, 2, {}, lambda: waited.append(len(given))
    ) == pytest.approx(3323.861412)
    assert given == ["--time=5", "--time=10"], "nothing told: twice as long; 10 - 4.5 s are enough"
    assert waited == [0, 1], "each time the server must have room first"
    reports[:] = [reports[0]] * 10
    with pytest.raises(UndeterminedError, match="cannot connect 64 clients within 120 s"):
        peers.pgbench(Place("Pgpool", 1), "select-only", 64, 2, {}, lambda: None)


def test_reports_of_others_are_read():
    assert peers.pgbench_rate(PGBENCH.format(failed=0)) == pytest.approx(3323.861412)
    with pytest.raises(UndeterminedError, match="12 failed transactions"):
        peers.pgbench_rate(PGBENCH.format(failed=12))
    with pytest.raises(UndeterminedError, match="no rate"):
        peers.pgbench_rate("pgbench: error: could not connect")
    assert peers.sysbench_rate(SYSBENCH.format(rate="999.83")) == pytest.approx(999.83)
    with pytest.raises(UndeterminedError, match="no rate"):
        peers.sysbench_rate("FATAL: unable to connect")


def test_the_report_of_locust_is_read():
    row = {"num_requests": 8000, "num_failures": 0, "start_time": 10.0, "last_request_timestamp": 18.0}
    assert peers.locust_rate("warning\n" + json.dumps([row])) == 1000.0
    with pytest.raises(UndeterminedError, match="3 failed"):
        peers.locust_rate(json.dumps([row | {"num_failures": 3}]))
    with pytest.raises(UndeterminedError, match="no rate"):
        peers.locust_rate("Traceback")


def test_lateness_counts_only_while_a_worker_is_free():
    spans = [
        (0, 1, 100),  # the first of two workers
        (10, 12, 50),  # the second
        (20, 50, 60),  # both were busy: it had to wait, and that is not the generator's doing
        (70, 73, 80),  # one is free again
    ]
    assert list(lateness_while_free(spans, 2)) == [1, 2, 3]
    assert list(lateness_while_free(reversed(spans), 3)) == [1, 2, 30, 3]


def test_a_step_is_not_a_slope():
    assert slope([5.0] * 40 + [6.0] * 10) == 0.0
    assert slope([index * 0.25 for index in range(50)]) == pytest.approx(0.25)


def test_what_is_written_once_does_not_grow_and_the_rest_grows_by_its_grain():
    assert growth("summary.json", File(1000), 60) == 1000
    assert growth("events.jsonl", File(1000, packing=0.1), 60) == 100 * 1440
    fine_s = 3600 + 144 * (4 + 10)
    a_day = (1000 * fine_s + 700 * (86_400 - fine_s) / 60) * 0.5
    assert growth("intervals.hlog", File(60_000, packing=0.5, quiet_line=700), 60) == a_day


def test_a_file_is_looked_at_as_it_would_be_kept(tmp_path: Path):
    path = tmp_path / "intervals.hlog"
    histogram = Histogram()
    histogram.record(5000)
    path.write_text("".join(line("read-ok-response", f"{second}.000000,1.000000", histogram) for second in range(40)))
    found = looked_at(path, 40)
    assert found.size == path.stat().st_size
    assert found.packing < 0.2
    assert 0 < found.quiet_line < 2 * found.size / 40, "one line of all forty"


async def test_the_stand_in_answers_stalls_and_releases():
    async with stalling(3) as (one, two, steering):
        fetches = [(await each.prepare("SELECT abalance FROM t WHERE aid = $1")).fetchval for each in (one, two)]
        assert await fetches[0](7) == 0
        await steering.execute("STALL")
        waiting = [asyncio.create_task(fetch(7)) for fetch in fetches]
        done, _ = await asyncio.wait(waiting, timeout=0.05)
        assert not done
        assert await steering.execute("COUNT") == "COUNT 1 2"
        await steering.execute("RELEASE")
        assert await asyncio.wait_for(asyncio.gather(*waiting), 5) == [0, 0]
        assert await steering.execute("COUNT") == "COUNT 3 0"


def test_the_published_figures_are_whole_and_on_their_page():
    report = read(ROOT / "docs" / "benchmarks.json")
    names = [one.name for one in report.sections]
    assert names == list(NAMES), "`make bench ARGS=--keep` publishes every row"
    assert not any(one.quick for one in report.sections)
    page = PAGE.read_text(encoding="utf-8")
    assert page.split(BEGIN)[1].split(END)[0] == markdown(report)


def test_the_published_schema_is_current():
    text = (ROOT / "docs" / "benchmarks.schema.json").read_text(encoding="utf-8")
    assert json.loads(text) == results.schema()
