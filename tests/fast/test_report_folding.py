"""From a run's files to what its figures show."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
from hdrh.histogram import HdrHistogram
from results_cases import PHASES, failover, observed, results, rewrite

from chaosbench.errors import UsageError
from chaosbench.histogram import HIGHEST_US, Histogram
from chaosbench.report.content import run_content
from chaosbench.report.folding import UNEXPLAINED, curves, phase_bar
from chaosbench.report.intervals import Intervals, _cells, read_intervals
from chaosbench.report.reading import RunResults, SeriesResults, read_results
from chaosbench.sinks.interval_log import line

virtual = pytest.mark.looptime(noop_cycles=0)


def counted(*values_us: int) -> Histogram:
    found = Histogram()
    for value in values_us:
        found.record(value)
    return found


def test_the_encoding_is_read_as_the_library_reads_it():
    rng = random.Random(3)
    for size in (1, 2, 300, 5000):
        histogram = counted(*(int(rng.lognormvariate(8, 3)) for _ in range(size)), HIGHEST_US, 0)
        encoded = histogram.to_hdr().encode().decode()
        theirs = {cell: count for cell, count in enumerate(HdrHistogram.decode(encoded).counts) if count}
        assert dict(_cells(encoded)) == theirs


def log(path: Path, *ticks: tuple[float, float, dict[str, Histogram]]) -> Path:
    lines = [line(tag, f"{at},{length}", one) for at, length, tags in ticks for tag, one in tags.items()]
    path.write_text("#[head]\n" + "".join(lines))
    return path


def test_bins_follow_the_ticks_and_silence_is_a_bin_of_its_own(tmp_path: Path):
    one = {"write-all-response": counted(5), "write-ok-response": counted(5)}
    found = read_intervals(log(tmp_path / "i", (0, 1, one), (1, 1.1, one), (5.1, 1, one)), 6)
    assert [
        (b.start_s, round(b.end_s, 3), b.by_tag["write-all-response"].total if b.by_tag else 0) for b in found.bins
    ] == [
        (0, 1, 1),
        (1, 2.1, 1),
        (2.1, 5.1, 0),
        (5.1, 6.1, 1),
    ]
    assert found.totals["write-ok-response"].total == 3


def test_a_long_run_has_no_more_bins_than_can_be_seen(tmp_path: Path):
    ticks = [(float(n), 1.0, {"read-all-response": counted(n + 1)}) for n in range(3000)]
    found = read_intervals(log(tmp_path / "i", *ticks), 3000)
    assert len(found.bins) == pytest.approx(600, abs=2)
    assert sum(one.by_tag["read-all-response"].total for one in found.bins) == 3000


def test_a_last_line_cut_short_is_left_out_and_any_other_is_said(tmp_path: Path):
    path = log(tmp_path / "i", (0, 1, {"read-all-response": counted(1)}), (1, 1, {"read-all-response": counted(2)}))
    whole = path.read_text()
    path.write_text(whole[:-9])
    assert read_intervals(path, 2).totals["read-all-response"].total == 1
    path.write_text(whole.replace("HIST", "H!ST"))
    with pytest.raises(UsageError, match="an interval of read-all-response at 0 s cannot be read"):
        read_intervals(path, 2)
    path.write_text("Tag=read,1\n")
    with pytest.raises(UsageError, match=r"i:1: not a line of an interval log"):
        read_intervals(path, 2)


def test_curves_go_as_far_as_there_are_operations_and_end_at_the_maximum():
    found = Intervals(totals={"write-ok-response": counted(*[1000] * 99, 70_000)})
    (curve,) = curves(found)
    assert (curve.name, curve.count) == ("write: response, acknowledged", 100)
    assert max(curve.percents) == 99
    assert curve.ms[0] == pytest.approx(1, rel=0.01)
    assert all(ms <= 70 for ms in curve.ms)


@virtual
async def test_a_run_is_folded_into_its_figures(tmp_path: Path):
    run = await results(tmp_path, failover())
    content = run_content(_run(run))
    shown, summary = content.timeline, content.results.summary
    (fault,) = shown.faults
    assert (fault.name, fault.start_s, fault.end_s) == (
        "kill-1",
        pytest.approx(3, abs=0.01),
        pytest.approx(8, abs=0.01),
    )
    assert {band.name for band in shown.windows} == {"read", "write"}
    writes = next(one for one in shown.classes if one.op_class == "write")
    lengths = [after - before for before, after in zip(shown.edges_s, shown.edges_s[1:], strict=False)]
    ok = sum(rate * length for rate, length in zip(writes.ok_per_s, lengths, strict=True))
    bad = sum(rate * length for rate, length in zip(writes.bad_per_s, lengths, strict=True))
    wanted = [one.counts for one in summary.operations if one.op_class == "write"]
    assert ok == pytest.approx(sum(one.ok for one in wanted), abs=0.01)
    assert bad == pytest.approx(sum(one.failed + one.unknown + one.shed for one in wanted), abs=0.01)
    outage = [rate for rate, at in zip(writes.ok_per_s, shown.edges_s, strict=False) if 4 <= at < 6]
    assert outage and not any(outage), "no write is acknowledged in the middle of the outage"
    leaders = [(band.name, band.start_s, band.end_s) for band in shown.leaders]
    assert [name for name, *_ in leaders] == ["pg1", "pg2"]
    assert leaders[0][1] == 0
    assert (leaders[0][2], leaders[1][1]) == pytest.approx((4, 8), abs=0.02), "nobody leads between them"
    assert leaders[1][2] == pytest.approx(shown.end_s)
    assert {curve.name.split(":")[0] for curve in content.curves} == {"read", "write"}


def _run(path: Path) -> RunResults:
    found = read_results(path)
    assert isinstance(found, RunResults)
    return found


@virtual
async def test_phases_add_up_to_the_rto_and_what_is_left_is_named(tmp_path: Path):
    run = await results(tmp_path, failover())
    summary = observed(run)
    (fault,) = summary.faults
    bar = phase_bar(fault, "x")
    assert dict(bar.pieces) == {"detection": 2.0, "election": 1.0, "promotion": 0.25, "proxy": 0.25, "client": 0.5}
    short = replace(fault, phases=replace(PHASES, proxy_s=None, client_s=None))
    assert dict(phase_bar(short, "x").pieces)[UNEXPLAINED] == pytest.approx(0.75)
    other = replace(fault, phases=replace(PHASES, detection_s=30.0))
    assert phase_bar(other, "x").pieces == ((UNEXPLAINED, 4.0),), "phases longer than the RTO are not forced into it"
    unseen = replace(fault, phases=None)
    assert phase_bar(unseen, "x").pieces == ((UNEXPLAINED, 4.0),)
    gone = replace(fault, rto_s=None, recovered=False, phases=replace(PHASES, hangs_at="proxy"))
    assert phase_bar(gone, "x").note == "writes did not come back: hangs at proxy"
    assert phase_bar(replace(fault, rto_s=0.0, t1_s=None, phases=None), "x").note == "no write failed"


@virtual
async def test_a_run_without_intervals_or_events_is_still_a_run(tmp_path: Path):
    run = await results(tmp_path, failover())
    (run / "intervals.hlog").unlink()
    (run / "events.jsonl").unlink()
    content = run_content(_run(run))
    assert content.curves == content.timeline.classes == ()
    assert content.timeline.faults


@virtual
async def test_a_series_is_read_with_the_trials_that_are_done(tmp_path: Path):
    series = await results(tmp_path, failover(2))
    found = read_results(series)
    assert isinstance(found, SeriesResults)
    assert list(found.trials) == [1, 2]
    trials = json.loads((series / "trials.json").read_text())
    trials["trials"][1]["state"] = "not run"
    (series / "trials.json").write_text(json.dumps(trials))
    again = read_results(series)
    assert isinstance(again, SeriesResults)
    assert list(again.trials) == [1]


@virtual
async def test_what_cannot_be_read_is_said_in_a_line(tmp_path: Path):
    with pytest.raises(UsageError, match=r"neither summary.json nor trials.json is there"):
        read_results(tmp_path)
    run = await results(tmp_path / "out", failover())
    rewrite(run)
    text = json.loads((run / "summary.json").read_text())
    text["verdict"] = "perhaps"
    (run / "summary.json").write_text(json.dumps(text))
    with pytest.raises(UsageError, match=r"summary.json: not what this chaosbench writes \(verdict: ") as raised:
        read_results(run)
    assert len(str(raised.value).splitlines()) == 1
