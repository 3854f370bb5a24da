"""The report as JUnit's XML, which every CI shows: a test suite for a run or trial, a test case for an expectation.

An expectation that failed is a failure, one that could not be judged an error.
What failed a run without being an expectation (a cluster that stayed broken,
split brain) is a test case of its own, so that no failed run looks green.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree as Xml

from chaosbench.model.report import ExpectationReport, Summary, Verdict, worst
from chaosbench.model.trials import TrialState
from chaosbench.report.content import RunContent, SeriesContent
from chaosbench.report.wording import limit, meaning, quantity

_UNPRINTABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(content: RunContent | SeriesContent) -> str:
    """A run or a series."""
    root = Xml.Element("testsuites", name="chaosbench")
    if isinstance(content, RunContent):
        _suite(root, content.results.summary, content.results.summary.scenario)
    else:
        report = content.results.report
        for number, trial in content.results.trials.items():
            _suite(root, trial.summary, f"{report.scenario}.trial-{number:02d}")
        for one in report.trials:
            if one.state is not TrialState.DONE:
                suite = Xml.SubElement(root, "testsuite", name=f"{report.scenario}.trial-{one.number:02d}")
                case = Xml.SubElement(suite, "testcase", classname=suite.get("name", ""), name=one.state.value)
                Xml.SubElement(case, "error", message=_clean(one.why or one.state.value))
                _count(suite)
    Xml.indent(root)
    return Xml.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _suite(root: Xml.Element, summary: Summary, name: str) -> None:
    suite = Xml.SubElement(
        root, "testsuite", name=name, time=f"{summary.duration_s:.3f}", timestamp=summary.started_at.removesuffix("Z")
    )
    for one in summary.expectations:
        case = Xml.SubElement(suite, "testcase", classname=name, name=_clean(limit(one)))
        _outcome(case, one)
    judged = worst(tuple(one.verdict for one in summary.expectations))
    if worst((judged, summary.verdict)) is not judged or not summary.expectations:
        case = Xml.SubElement(suite, "testcase", classname=name, name="the run itself")
        if summary.verdict is not Verdict.PASS:
            kind = "failure" if summary.verdict is Verdict.FAIL else "error"
            Xml.SubElement(case, kind, message=_clean(summary.why))
    _count(suite)


def _outcome(case: Xml.Element, one: ExpectationReport) -> None:
    measured = f"measured {quantity(one.value, one.unit)}" + (f": {one.why}" if one.why else "")
    if one.verdict is Verdict.FAIL:
        Xml.SubElement(case, "failure", message=_clean(measured), type="expectation").text = meaning(one.metric)
    elif one.verdict is Verdict.UNKNOWN:
        Xml.SubElement(case, "error", message=_clean(measured), type="undetermined").text = meaning(one.metric)
    else:
        Xml.SubElement(case, "system-out").text = _clean(measured)


def _count(suite: Xml.Element) -> None:
    suite.set("tests", str(len(suite.findall("testcase"))))
    suite.set("failures", str(len(suite.findall("testcase/failure"))))
    suite.set("errors", str(len(suite.findall("testcase/error"))))


def _clean(text: str) -> str:
    """XML has no place for control characters, which an error's text may hold."""
    return _UNPRINTABLE.sub("?", text)
