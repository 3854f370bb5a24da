"""``python -m bench``: measure, show a table, keep the figures as JSON.

Exit codes: 0 measured, whatever the verdicts; 1 with ``--strict`` and a target
missed; 2 wrong usage; 3 a benchmark could not be carried out.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from bench.results import Report, Row, Section, markdown, merge, read, table, write
from bench.rows import ALONE, NAMES, ON_THE_LAB
from bench.surroundings import ROOT, Lab, commit, lab_here, machine
from chaosbench.errors import ChaosbenchError, UsageError

KEPT = ROOT / "docs" / "benchmarks.json"
PAGE = ROOT / "docs" / "benchmarks.md"
BEGIN, END = "<!-- figures -->\n", "<!-- /figures -->\n"


def main() -> int:
    """Run what is asked for; returns the exit code."""
    options = _options()
    console = Console(highlight=False, width=max(140, Console().width))
    try:
        chosen = _chosen(options.rows)
        report = read(options.out) if options.out.is_file() else Report(machine={})
        report = Report(machine=machine(), sections=report.sections)
        lab = lab_here(options.lab) if any(name in ON_THE_LAB for name in chosen) else None
        fresh = []
        for name in chosen:
            section = run(name, lab, options.quick)
            fresh.append(section)
            console.print(table(section))
            report = merge(report, [section], NAMES)
            write(options.out, report)  # after each: what was measured is kept, whatever comes after it
    except ChaosbenchError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    if options.keep:
        keep(report)
    found = Report(machine=report.machine, sections=tuple(fresh))
    rows = sum(len(section.rows) for section in fresh)
    console.print(f"{rows} rows, {found.missed} missed; {options.out} has {sum(len(s.rows) for s in report.sections)}")
    return 1 if options.strict and found.missed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Benchmarks of chaosbench against its peers.")
    parser.add_argument("--rows", metavar="NAME,...", help=f"only these: {', '.join(NAMES)}")
    parser.add_argument("--quick", action="store_true", help="a short version, to see that everything works")
    parser.add_argument("--lab", type=Path, default=ROOT / "infra", metavar="DIR", help="the lab's directory")
    parser.add_argument(
        "--out", type=Path, default=ROOT / "build" / "benchmarks.json", help="rows are merged into this file"
    )
    parser.add_argument("--keep", action="store_true", help="copy the figures into docs/, where they are published")
    parser.add_argument("--strict", action="store_true", help="exit 1 when a target is missed")
    options = parser.parse_args()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    return options


def _chosen(rows: str | None) -> tuple[str, ...]:
    if rows is None:
        return NAMES
    asked = rows.split(",")
    if unknown := [name for name in asked if name not in NAMES]:
        raise UsageError(f"no such rows: {', '.join(unknown)}; there are {', '.join(NAMES)}")
    return tuple(name for name in NAMES if name in asked)


def run(name: str, lab: Lab | None, quick: bool) -> Section:
    """One benchmark, each row told as soon as it is there."""
    at, began = datetime.now(UTC), time.monotonic()
    rows: list[Row] = []
    for row in _rows(name, lab, quick):
        print(f"{name}: {row.measure}: {row.value:.3g} {row.unit} ({row.verdict})", file=sys.stderr, flush=True)
        rows.append(row)
    return Section(
        name=name,
        at=at.isoformat(timespec="seconds"),
        seconds=round(time.monotonic() - began, 1),
        commit=commit(),
        quick=quick,
        rows=tuple(rows),
    )


def _rows(name: str, lab: Lab | None, quick: bool) -> Iterator[Row]:
    if name in ALONE:
        return ALONE[name](quick)
    assert lab is not None
    return ON_THE_LAB[name](lab, quick)


def keep(report: Report) -> None:
    """Publish the figures: the JSON as it is, and its table between the marks of the page."""
    write(KEPT, report)
    page = PAGE.read_text(encoding="utf-8")
    before, after = page.split(BEGIN)[0], page.split(END)[1]
    PAGE.write_text(before + BEGIN + markdown(report) + END + after, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
