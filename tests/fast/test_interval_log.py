"""``intervals.hlog`` is opened by HdrHistogram's own reader; its intervals add up to the totals bucket for bucket."""

from __future__ import annotations

import gzip
import random
from pathlib import Path

import pytest
from disks import SmallDisk
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader
from sinks_cases import ANCHOR, T0, Bench, event

from chaosbench.clock import NS
from chaosbench.events import Kind
from chaosbench.histogram import CELLS, HIGHEST_US, Histogram
from chaosbench.outcome import OpClass, Outcome
from chaosbench.recorder.recorder import Recorder
from chaosbench.report.intervals import read_intervals
from chaosbench.rolling import Limits, Rolled
from chaosbench.sinks.interval_log import Counted, IntervalLog, totals


def log(path: Path) -> IntervalLog:
    sink = IntervalLog(path / "intervals.hlog", ANCHOR)
    sink.on_event(event(Kind.STAGE))
    return sink


def read(path: Path) -> list[HdrHistogram]:
    reader = HistogramLogReader(str(path / "intervals.hlog"), HdrHistogram(1, HIGHEST_US, 2))
    found = []
    while (histogram := reader.get_next_interval_histogram()) is not None:
        found.append(histogram)
    reader.close()
    return found


def expected(recorder: Recorder) -> dict[str, Histogram]:
    """Each tag's total, straight from the tallies."""
    result: dict[str, Histogram] = {}
    for tally in recorder.tallies:
        for kind in ("response", "service"):
            good, bad = getattr(tally, kind), getattr(tally, f"{kind}_bad")
            result.setdefault(f"{tally.op_class}-ok-{kind}", Histogram()).add(good)
            result.setdefault(f"{tally.op_class}-all-{kind}", Histogram()).add(good)
            result[f"{tally.op_class}-all-{kind}"].add(bad)
    return result


def load(bench: Bench, rng: random.Random) -> None:
    """Some operations of every class, good and bad, over the range's end too."""
    for _ in range(rng.randrange(40)):
        bench.ok(1, rng.choice((0.0004, 0.2, 3.7, 250.0, 59_999.0, 90_000.0)), rng.choice(list(OpClass)))
    for _ in range(rng.randrange(5)):
        bench.bad(1, rng.choice((Outcome.FAILED, Outcome.UNKNOWN, Outcome.SHED)), ms=rng.uniform(0.1, 5000))


@pytest.mark.parametrize("seed", range(5))
def test_the_intervals_add_up_to_the_totals_bucket_for_bucket(tmp_path: Path, seed: int):
    rng, bench, sink = random.Random(seed), Bench(), log(tmp_path)
    for _ in range(12):
        load(bench, rng)
        bench.now_ns += NS
        sink.on_tick(bench.recorder)
    load(bench, rng)  # after the last tick
    sink.close()
    sums: dict[str, list[int]] = {}
    for histogram in read(tmp_path):
        counts = sums.setdefault(histogram.get_tag(), [0] * CELLS)
        for cell in range(CELLS):
            counts[cell] += histogram.get_count_at_index(cell)
    wanted = {tag: histogram.counts for tag, histogram in expected(bench.recorder).items() if histogram.total}
    assert sums == wanted


def test_times_tags_and_maxima(tmp_path: Path):
    bench, sink = Bench(), log(tmp_path)
    bench.ok(3, ms=4.0)
    bench.now_ns += NS
    sink.on_tick(bench.recorder)
    bench.now_ns += NS
    sink.on_tick(bench.recorder)  # nothing happened: no line
    bench.bad(1, ms=2000.0)
    bench.now_ns += NS // 2
    sink.close()
    histograms = read(tmp_path)
    zero_ms = ANCHOR.date(T0).timestamp() * 1000
    assert [
        (h.get_tag(), h.get_start_time_stamp() - zero_ms, h.get_end_time_stamp() - zero_ms) for h in histograms
    ] == [
        *((f"write-{which}", 0, 1000) for which in ("ok-response", "all-response", "ok-service", "all-service")),
        *((f"write-{which}", 2000, 2500) for which in ("all-response", "all-service")),
    ]
    assert [h.get_total_count() for h in histograms] == [3, 3, 3, 3, 1, 1]
    assert histograms[0].get_max_value() == pytest.approx(4000, rel=0.01)
    maxima = [line.split(",")[3] for line in (tmp_path / "intervals.hlog").read_text().splitlines() if line[0] == "T"]
    assert maxima[0] == "4.000"
    assert float(maxima[-1]) == pytest.approx(2000, rel=0.01)


def test_the_warm_up_is_not_in_it(tmp_path: Path):
    bench = Bench()
    sink = IntervalLog(tmp_path / "intervals.hlog", ANCHOR)
    bench.ok(5)
    sink.on_tick(bench.recorder)
    sink.on_event(event(Kind.STAGE))
    bench.renewed()
    bench.ok(2)
    sink.on_tick(bench.recorder)
    sink.close()
    assert [histogram.get_total_count() for histogram in read(tmp_path)] == [2, 2, 2, 2]


def test_a_full_disk_costs_no_count_only_when_within_the_gap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    disk = SmallDisk(monkeypatch, room=1500)
    bench, sink = Bench(), log(tmp_path)
    for second in range(20):
        bench.ok(3, ms=second + 1.0)
        bench.now_ns += NS
        sink.on_tick(bench.recorder)
        if second == 12:
            sink._check()
            disk.room = 1_000_000
    sink.close()
    histograms = read(tmp_path)
    assert sum(h.get_total_count() for h in histograms if h.get_tag() == "write-ok-response") == 60
    lengths = [h.get_end_time_stamp() - h.get_start_time_stamp() for h in histograms]
    assert max(lengths) > 5000, "one interval holds what happened while the disk was full"
    assert min(lengths) == 1000
    text = (tmp_path / "intervals.hlog").read_text()
    assert all(line.count(",") == 4 for line in text.splitlines() if line.startswith("Tag="))
    assert read_intervals(tmp_path / "intervals.hlog", 20).totals["write-ok-response"].total == 60


def test_room_that_comes_just_before_the_end_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    disk = SmallDisk(monkeypatch, room=1500)
    bench, sink = Bench(), log(tmp_path)
    for _ in range(8):
        bench.ok(3)
        bench.now_ns += NS
        sink.on_tick(bench.recorder)
    sink._check()
    disk.room = 1_000_000
    sink.close()
    assert read_intervals(tmp_path / "intervals.hlog", 8).totals["write-ok-response"].total == 24


def test_a_disk_that_is_full_to_the_end_is_said_at_the_end():
    sink = IntervalLog(Path("/dev/full"), ANCHOR)
    sink.on_event(event(Kind.STAGE))
    bench = Bench()
    for _ in range(3):
        bench.ok()
        bench.now_ns += NS
        sink.on_tick(bench.recorder)
    with pytest.raises(OSError, match="No space left"):
        sink.close()


def test_parts_of_a_log_are_logs_and_add_up(tmp_path: Path):
    bench = Bench()
    sink = IntervalLog(tmp_path / "intervals.hlog", ANCHOR, Rolled(Limits(size=1500)))
    sink.on_event(event(Kind.STAGE))
    for second in range(12):
        bench.ok(3, ms=second + 1.0)
        bench.now_ns += NS
        sink.on_tick(bench.recorder)
    sink.close()
    parts = sorted(tmp_path.glob("intervals-*.hlog.gz"))
    assert len(parts) > 1
    assert all(gzip.decompress(part.read_bytes()).startswith(b"#[chaosbench") for part in parts)
    whole = read_intervals(tmp_path / "intervals.hlog", 12)
    assert [round(each.start_s) for each in whole.bins] == list(range(12))
    assert whole.totals["write-ok-response"].counts == expected(bench.recorder)["write-ok-response"].counts


def test_a_soak_that_goes_on_has_one_axis_without_its_downtime(tmp_path: Path):
    for begun_ns, elapsed_ns in ((T0, 0), (T0 + 100 * NS, NS)):
        bench = Bench()
        bench.now_ns = begun_ns
        bench.renewed(elapsed_ns)
        sink = log(tmp_path)
        bench.now_ns += NS
        bench.ok(3)
        sink.on_tick(bench.recorder)
        sink.close()
    found = read_intervals(tmp_path / "intervals.hlog", 2)
    assert [(each.start_s, each.end_s) for each in found.bins] == [(0.0, 1.0), (1.0, 2.0)]
    assert found.totals["write-ok-response"].total == 6


def test_all_is_ok_and_the_rest():
    bench = Bench()
    bench.ok(3)
    bench.bad(2)
    bench.bad(1, Outcome.SHED)
    tally = bench.tally()
    found = dict(
        totals([Counted(tally.op_class, tally.response, tally.service, tally.response_bad, tally.service_bad)])
    )
    assert {tag: histogram.total for tag, histogram in found.items()} == {
        "write-ok-response": 3,
        "write-all-response": 6,
        "write-ok-service": 3,
        "write-all-service": 5,
    }
