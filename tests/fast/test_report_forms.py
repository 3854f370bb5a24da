"""The forms of a report: Markdown, JUnit, JSON, figures; and the report that follows a run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

import pytest
from results_cases import failover, observed, results, rewrite

from chaosbench.cli import main
from chaosbench.model.report import Verdict
from chaosbench.report import command
from chaosbench.report.command import MISSING, report, report_apart, text

virtual = pytest.mark.looptime(noop_cycles=0)


@virtual
async def test_markdown_begins_with_the_verdict_and_has_the_figures(tmp_path: Path):
    run = await results(tmp_path, failover())
    summary = observed(run)
    lines = text(run, "md").splitlines()
    assert lines[0] == "# FAIL: test"
    assert any("rto <= 5s" in line and "pass" in line for line in lines)
    assert any("kill-1" in line and "4.00 s" in line and "2.00 s" in line for line in lines)
    assert summary.ledger is not None
    assert f"{summary.ledger.acked:,} acknowledged rows" in lines[2]


@virtual
async def test_junit_has_a_case_for_each_expectation(tmp_path: Path):
    run = await results(tmp_path, failover())
    (suite,) = Xml.fromstring(text(run, "junit").partition("\n")[2])
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("2", "1", "0")
    assert [case.get("name") for case in suite] == ["rto <= 5s", "p99 <= 500us"]
    failed = suite.find("testcase/failure")
    assert failed is not None
    assert (failed.get("message") or "").startswith("measured ")


@virtual
async def test_junit_is_red_when_the_run_failed_for_another_reason(tmp_path: Path):
    run = await results(tmp_path, failover(expect={"rto": "<= 5s"}))
    rewrite(run, verdict=Verdict.FAIL, why="the cluster did not become whole again \x00")
    (suite,) = Xml.fromstring(text(run, "junit").partition("\n")[2])
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")


@virtual
async def test_junit_of_a_run_that_expects_nothing_has_the_run_itself(tmp_path: Path):
    run = await results(tmp_path, failover(expect={}))
    (suite,) = Xml.fromstring(text(run, "junit").partition("\n")[2])
    assert [(case.get("name"), list(case)) for case in suite] == [("the run itself", [])]


@virtual
async def test_junit_of_a_series_has_a_suite_for_each_trial(tmp_path: Path):
    series = await results(tmp_path, failover(2))
    trials = json.loads((series / "trials.json").read_text())
    trials["trials"][1]["state"] = "not run"
    (series / "trials.json").write_text(json.dumps(trials))
    root = Xml.fromstring(text(series, "junit").partition("\n")[2])
    assert [suite.get("name") for suite in root] == ["test.trial-01", "test.trial-02"]
    assert root[1].get("errors") == "1"


@virtual
async def test_json_has_what_the_figures_are_drawn_from(tmp_path: Path):
    run = await results(tmp_path, failover())
    found = json.loads(text(run, "json"))
    assert found["summary"] == json.loads((run / "summary.json").read_text())
    assert len(found["timeline"]["edges_s"]) == len(found["timeline"]["classes"][0]["ok_per_s"]) + 1
    assert found["phases"][0]["rto_s"] == pytest.approx(4, abs=0.05)


@virtual
async def test_figures_for_a_thesis_are_svg_and_png(tmp_path: Path):
    run = await results(tmp_path, failover())
    observed(run)
    written = report(run, "md", None, tmp_path / "figures")
    assert [path.name for path in written] == [
        "report.md", "timeline.svg", "timeline.png", "phases.svg", "phases.png", "latency.svg", "latency.png",
    ]  # fmt: skip
    for path in written[1:]:
        head = path.read_bytes()[:300]
        assert head.startswith(b"\x89PNG") if path.suffix == ".png" else b"<svg" in head or b"<?xml" in head
    drawn = (tmp_path / "figures" / "phases.svg").read_text()
    assert all(word in drawn for word in ("detection", "4.00 s", "kill-1"))
    assert "var(--" not in drawn, "a file of its own has colours of its own"


@virtual
async def test_the_report_follows_a_run_and_a_series_once(tmp_path: Path):
    run = await results(tmp_path / "a", failover(), reports=True)
    assert f"a report of {run.name}" in (run / "said.txt").read_text()
    series = await results(tmp_path / "b", failover(2), reports=True)
    said = (series / "said.txt").read_text()
    assert said.count("a report of ") == 1
    assert f"a report of {series.name}" in said


async def test_a_report_is_made_apart_and_its_trouble_is_one_line(tmp_path: Path):
    said = await report_apart(tmp_path)
    assert said.startswith("no report was made: ")
    assert "neither summary.json nor trials.json" in said


async def test_without_the_libraries_a_run_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def nothing(name: str) -> None:
        return None

    monkeypatch.setattr(command, "find_spec", nothing)
    assert await report_apart(tmp_path) == MISSING
    assert "pip install 'chaosbench[report]'" in MISSING


@virtual
async def test_forms_without_figures_need_no_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any):
    run = await results(tmp_path, failover())
    monkeypatch.setattr(command, "find_spec", lambda name: None)
    capsys.readouterr()
    assert main(["report", str(run), "--format", "md", "--out", "-"]) == 0
    assert capsys.readouterr().out.startswith("# FAIL: test")
    assert main(["report", str(run)]) == 2
    assert capsys.readouterr().err == f"{MISSING}\n"


def test_the_command_line_is_quick_because_it_draws_nothing():
    code = (
        "import sys, chaosbench.cli as c; c._parser(); import chaosbench.report.command, chaosbench.compare.command; "
    )
    code += "print([name for name in ('matplotlib', 'numpy', 'jinja2') if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"


def test_a_directory_that_is_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["report", str(tmp_path)]) == 2
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
