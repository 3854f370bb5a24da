"""Texts with units, as tables."""

from __future__ import annotations

import math

import pytest

from chaosbench.units import (
    finite,
    lasting,
    parse_budget,
    parse_duration,
    parse_lasting,
    parse_rate,
    parse_ratio,
    parse_size,
    parse_throughput,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("250ms", 0.25),
        ("40us", 0.00004),
        ("1.5s", 1.5),
        ("2m", 120),
        ("1m30s", 90),
        ("1m 30s", 90),
        (" 10 s ", 10),
        ("1h", 3600),
        ("7d", 604_800),
        ("1d2h3m4s5ms", 93_784.005),
        (0, 0),
        (0.0, 0),
        ("0s", 0),
    ],
)
def test_durations(text: object, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["90", 90, 1.5, "s", "", "5min", "5 sec", "-5s", "1.s", ".5s", "5s5", "five s", "1e3s", None, True, False]
)
def test_what_is_no_duration(text: object) -> None:
    with pytest.raises(ValueError, match="is not a duration: write a number with a unit"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "per_second"), [("1000/s", 1000), ("60/m", 1), ("3600/h", 1), ("2.5 / s", 2.5), ("0/s", 0)]
)
def test_rates(text: str, per_second: float) -> None:
    assert parse_rate(text) == pytest.approx(per_second)


@pytest.mark.parametrize("text", [1000, "1000", "1000/", "/s", "-1/s", "1000/ms", "1000 per s", "1e3/s", None])
def test_what_is_no_rate(text: object) -> None:
    with pytest.raises(ValueError, match="is not a rate: write a number per unit of time"):
        parse_rate(text)


@pytest.mark.parametrize(
    ("text", "share"),
    [("80%", 0.8), ("0.8", 0.8), (0.8, 0.8), ("0%", 0), ("100%", 1), (1, 1), (0, 0), ("0.1 %", 0.001)],
)
def test_ratios(text: object, share: float) -> None:
    assert parse_ratio(text) == pytest.approx(share)


@pytest.mark.parametrize("text", ["101%", "-1%", "1.5", 2, "%", "", "nan", "inf", "all", None, True])
def test_what_is_no_ratio(text: object) -> None:
    with pytest.raises(ValueError, match="is not a share: write 0% to 100%"):
        parse_ratio(text)


@pytest.mark.parametrize(("text", "size"), [("64MB", 64 * 2**20), ("1.5 kB", 1536), ("7B", 7), ("2GB", 2**31)])
def test_sizes_and_throughputs(text: str, size: int) -> None:
    assert parse_size(text) == size
    assert parse_throughput(f"{text}/s") == size


@pytest.mark.parametrize("text", ["64", 64, "64mb", "64MiB", "-1MB", "", None])
def test_what_is_no_size(text: object) -> None:
    with pytest.raises(ValueError, match="is not a size: write a number with a unit"):
        parse_size(text)
    with pytest.raises(ValueError, match="is not a"):
        parse_throughput(f"{text}/s")
    with pytest.raises(ValueError, match="is not a throughput: write a size per second"):
        parse_throughput(text)


def test_a_measurement_may_last_until_it_is_stopped():
    assert math.isinf(parse_lasting("until stopped"))
    assert parse_lasting("7d") == 604_800.0
    assert [lasting(math.inf), lasting(90.0)] == ["until stopped", "90 s"]
    assert (finite(math.inf), finite(2.0)) == (None, 2.0)
    with pytest.raises(ValueError, match="not a duration"):
        parse_lasting("until monday")


def test_a_budget_is_told_as_it_was_written():
    assert [str(parse_budget(text)) for text in ("6/h", "20 / d", "2/m")] == ["6/h", "20/d", "2/m"]
