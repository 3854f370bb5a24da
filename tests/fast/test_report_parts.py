"""A run whose files lie there in parts reads as one whose files are whole."""

from __future__ import annotations

from pathlib import Path

import pytest
from results_cases import failover, results

from chaosbench.report.command import text
from chaosbench.report.reading import read_run
from chaosbench.rolling import packing, part_of

pytestmark = pytest.mark.looptime(noop_cycles=0)


def cut(path: Path, parts: int) -> None:
    """Lay a file's lines into so many closed parts, all but the last of them compressed, and the file itself."""
    lines = path.read_text().splitlines(keepends=True)
    each = len(lines) // (parts + 1)
    assert each, f"{path.name} is too short to be cut"
    for number in range(1, parts + 1):
        part_of(path, number).write_text("".join(lines[(number - 1) * each : number * each]))
        if number == parts - 1:
            packing.pack_all(path)
    path.write_text("".join(lines[parts * each :]))


async def test_a_run_in_parts_reads_as_one(tmp_path: Path):
    run = await results(tmp_path, failover())
    whole = {form: text(run, form) for form in ("json", "md", "junit")}
    events = read_run(run).events()
    assert len(events) > 20
    for name in ("events.jsonl", "intervals.hlog"):
        cut(run / name, 4)
    assert sorted(path.name for path in run.glob("events*")) == [
        *(f"events-000{number}.jsonl.gz" for number in (1, 2, 3)),
        "events-0004.jsonl",
        "events.jsonl",
    ]
    assert read_run(run).events() == events
    assert {form: text(run, form) for form in whole} == whole


async def test_a_log_that_is_nothing_but_parts_is_there(tmp_path: Path):
    run = await results(tmp_path, failover())
    whole = text(run, "json")
    cut(run / "intervals.hlog", 1)
    (run / "intervals.hlog").rename(run / "intervals-0002.hlog")
    assert read_run(run).intervals is not None
    assert text(run, "json") == whole
