"""The run's directory and what is written there."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import jsonschema
import pytest
from summaries import FAULT, LEDGER, NONE, summary, window

from chaosbench.errors import PreflightError
from chaosbench.expectations import judge, parse_expectation
from chaosbench.model.report import Counts, Latency, LedgerNode, OperationReport, Summary
from chaosbench.results import RunDirectory, schema_text, summary_schema

STARTED = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
PUBLISHED = Path(__file__).parents[2] / "docs" / "summary.schema.json"


def test_a_directory_is_named_after_its_time_and_scenario(tmp_path: Path):
    directory = RunDirectory.make(tmp_path / "runs", STARTED, "leader-kill")
    assert directory.path == tmp_path / "runs" / "20260304T050607Z-leader-kill"
    assert directory.path.is_dir()


def test_one_of_the_same_second_is_numbered_and_the_latest_link_follows(tmp_path: Path):
    first = RunDirectory.make(tmp_path, STARTED, "a").path
    assert (tmp_path / "latest").resolve() == first
    second = RunDirectory.make(tmp_path, STARTED, "a").path
    assert second.name == "20260304T050607Z-a-2"
    assert (tmp_path / "latest").resolve() == second
    assert (tmp_path / "latest").readlink() == Path(second.name), "relative, so that the whole may be moved"
    assert sorted(path.name for path in tmp_path.iterdir()) == [first.name, second.name, "latest"]


def test_a_place_that_cannot_be_written_is_said_in_one_line(tmp_path: Path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(PreflightError, match="choose another --out") as raised:
        RunDirectory.make(blocked, STARTED, "a")
    assert "\n" not in str(raised.value)


def test_something_else_called_latest_is_left_alone_and_said(tmp_path: Path):
    (tmp_path / "latest").mkdir()
    (tmp_path / "latest" / "mine").write_text("")
    with pytest.raises(PreflightError, match="choose another --out"):
        RunDirectory.make(tmp_path, STARTED, "a")
    assert (tmp_path / "latest" / "mine").exists()


FULL = summary(
    faults=(replace(FAULT, error_windows=(window(),)), replace(FAULT, rto_s=None, recovered=None, error="no")),
    error_windows=(window(), window("read")),
    ledger=replace(
        LEDGER, lost=1, lost_ids=(3,), nodes=(LedgerNode(node="pg1", rows=8, lost=1, recovered=1, unexpected=0),)
    ),
    operations=(
        OperationReport(
            workload="ledger",
            operation="insert",
            op_class="write",
            counts=Counts(attempted=1, ok=0, failed=1, unknown=0, shed=0, in_flight=0),
            reasons={"failed/25006": 1},
            latency_ms=Latency(response=NONE, service=NONE, response_all=NONE, service_all=NONE),
        ),
    ),
    warnings=("one",),
    environment={"python": "3"},
)


@pytest.mark.parametrize("found", [summary(), FULL], ids=["plain", "full"])
def test_what_is_written_is_what_the_schema_says(found: Summary, tmp_path: Path):
    found = replace(found, expectations=(judge(parse_expectation("rpo", 0), found),))
    written = json.loads(RunDirectory(tmp_path).write(found).read_text())
    jsonschema.Draft202012Validator.check_schema(summary_schema())
    jsonschema.validate(written, summary_schema(), cls=jsonschema.Draft202012Validator)
    assert written["schema_version"] == 1
    assert written["scenario"] == "test"
    assert [path.name for path in tmp_path.iterdir()] == ["summary.json"]


def test_the_schema_notices_what_is_missing_or_of_another_kind():
    validator = jsonschema.Draft202012Validator(summary_schema())
    assert not validator.is_valid({})
    assert not validator.is_valid([])


def test_the_published_schema_is_up_to_date():
    assert PUBLISHED.read_text() == schema_text(), "run `make schema`"
