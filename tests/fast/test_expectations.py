"""Limits and what is made of them: pass, fail, or unknown with the reason."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from summaries import FAULT, LEDGER, NONE, summary, window

from chaosbench.expectations import METRICS, judge, parse_expectation
from chaosbench.model.report import Generator, Latency, Summary, Verdict

PASS, FAIL, UNKNOWN = Verdict.PASS, Verdict.FAIL, Verdict.UNKNOWN


def verdict(found: Summary, metric: str, limit: object) -> tuple[Verdict, float | None, str]:
    judged = judge(parse_expectation(metric, limit), found)
    return judged.verdict, judged.value, judged.why


@pytest.mark.parametrize(
    ("metric", "limit", "operator", "value"),
    [
        ("rto", "<= 30s", "<=", 30),
        ("rto", " <1m30s ", "<", 90),
        ("rto", 0, "==", 0),
        ("rto", "== 0", "==", 0),
        ("p99", "<= 50ms", "<=", 50),
        ("p99", "< 1s", "<", 1000),
        ("error_rate", "<= 5%", "<=", 0.05),
        ("error_rate", "<= 0.05", "<=", 0.05),
        ("throughput", ">= 900/s", ">=", 900),
        ("throughput", "> 60/m", ">", 1),
        ("rpo", "<= 10", "<=", 10),
        ("rpo", 0.0, "==", 0),
    ],
)
def test_limits_in_the_metrics_own_unit(metric: str, limit: object, operator: str, value: float):
    parsed = parse_expectation(metric, limit)
    assert (parsed.operator, parsed.limit) == (operator, pytest.approx(value))


@pytest.mark.parametrize("limit", [5, "5s", "<= 5", "<=", "=< 5s", "<= 5%", None, False, [], {}, "<= -1s", ""])
def test_what_is_no_limit_is_refused_with_an_example(limit: object):
    with pytest.raises(ValueError, match="write a"):
        parse_expectation("rto", limit)


@given(st.sampled_from(sorted(METRICS)), st.text(max_size=12) | st.integers() | st.floats() | st.none())
def test_any_limit_is_parsed_or_refused(metric: str, limit: object):
    try:
        parse_expectation(metric, limit)
    except ValueError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("metric", "limit", "expected", "value"),
    [
        ("error_rate", "<= 8%", PASS, 0.08),
        ("error_rate", "< 8%", FAIL, 0.08),
        ("unknown_rate", "<= 3%", PASS, 0.03),
        ("shed_rate", "<= 1%", FAIL, 0.02),
        ("ok_rate", ">= 90%", PASS, 0.9),
        ("ok_rate", "> 90%", FAIL, 0.9),
        ("throughput", ">= 90/s", PASS, 90),
        ("p50", "<= 3ms", PASS, 3),
        ("p90", "< 8ms", FAIL, 8),
        ("p99", "<= 20ms", PASS, 20),
        ("p999", "<= 39ms", FAIL, 40),
        ("max", "<= 90ms", PASS, 90),
        ("write_window", "<= 4s", PASS, 4),
        ("write_window", "<= 3s", FAIL, 4),
        ("read_window", "== 0", PASS, 0),
        ("connect_window", "<= 1s", FAIL, 2),
    ],
)
def test_figures_of_the_load(metric: str, limit: str, expected: Verdict, value: float):
    found = summary(error_windows=(window("write", 4.0), window("write", 1.0), window("connect", 2.0)))
    assert verdict(found, metric, limit)[:2] == (expected, pytest.approx(value))


def test_the_longest_rto_counts_and_is_named():
    found = summary(faults=(replace(FAULT, name="a", rto_s=3.0), replace(FAULT, name="b", rto_s=7.0)))
    assert verdict(found, "rto", "<= 5s") == (FAIL, 7.0, "b")
    assert verdict(found, "rto", "<= 7s") == (PASS, 7.0, "b")
    assert verdict(found, "write_gap", "<= 20s")[0] is PASS


def test_a_fault_without_any_failed_write_has_an_rto_of_zero():
    found = summary(faults=(replace(FAULT, rto_s=0.0, t1_s=None, t6_s=None),))
    assert verdict(found, "rto", 0) == (PASS, 0.0, "")


def test_a_cluster_that_never_came_back_fails_whatever_the_limit():
    gone = replace(FAULT, name="gone", recovered=False, rto_s=None)
    expected = (FAIL, None, "writes did not come back after gone")
    assert verdict(summary(faults=(gone,)), "rto", "<= 1000s") == expected
    # Also beside a fault that never happened: fail outweighs unknown.
    absent = replace(FAULT, injecting_at_s=None, rto_s=None, recovered=None, error="no leader")
    assert verdict(summary(faults=(absent, gone)), "rto", "<= 1000s") == expected


@pytest.mark.parametrize(
    ("found", "metric", "why"),
    [
        (summary(), "rto", "no fault was injected"),
        (
            summary(faults=(replace(FAULT, injecting_at_s=None, rto_s=None, recovered=None, error="no leader"),)),
            "rto",
            "kill-leader was not injected: no leader",
        ),
        (
            summary(faults=(replace(FAULT, rto_s=None, recovered=None, write_gap_s=None),)),
            "write_gap",
            "there were no writes to measure it with",
        ),
        (summary(), "rpo", "no stream runs the ledger workload"),
        (summary(ledger=replace(LEDGER, lost=None, checked=False, note="pg1 is away")), "rpo", "pg1 is away"),
        (summary(ledger=replace(LEDGER, checked=False, note="pg1 lags")), "rpo", "pg1 lags"),
        (
            summary(latency_ms=Latency(response=NONE, service=NONE, response_all=NONE, service_all=NONE)),
            "p99",
            "no operation was acknowledged",
        ),
    ],
)
def test_what_was_not_measured_is_unknown_with_the_reason(found: Summary, metric: str, why: str):
    limit = "<= 1" if metric == "rpo" else "<= 1s"
    assert verdict(found, metric, limit) == (UNKNOWN, None, why)


def test_rows_lost_on_one_node_are_lost_though_another_could_not_be_read():
    found = summary(ledger=replace(LEDGER, lost=2, checked=False, note="pg1 is away"))
    assert verdict(found, "rpo", 0)[:2] == (FAIL, 2)
    assert verdict(summary(ledger=LEDGER), "rpo", 0)[:2] == (PASS, 0)
    assert verdict(summary(ledger=replace(LEDGER, unexpected=1)), "unexpected", 0)[:2] == (FAIL, 1)


def test_a_suspect_generator_does_not_vouch_for_latencies_but_for_counts():
    found = summary(
        ledger=LEDGER,
        generator=Generator(lag_ms=NONE, suspect=True, suspect_share=0.2, suspect_intervals=9),
    )
    for metric, limit in (("p50", "<= 1s"), ("p99", "<= 1ms"), ("max", "<= 1s")):
        assert verdict(found, metric, limit)[0] is UNKNOWN
        assert "late" in verdict(found, metric, limit)[2]
    assert verdict(found, "rpo", 0)[0] is PASS
    assert verdict(found, "ok_rate", ">= 50%")[0] is PASS


def test_nothing_attempted_has_no_rates():
    nothing = replace(summary().load, attempted=0, ok=0, failed=0, unknown=0, shed=0)
    assert verdict(summary(load=nothing), "ok_rate", ">= 1%") == (UNKNOWN, None, "no operation was attempted")
