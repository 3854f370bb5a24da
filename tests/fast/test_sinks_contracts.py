"""docs/events.md and docs/metrics.md say what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from sinks_cases import DATA, Bench, event

from chaosbench.events import Kind
from chaosbench.model.containers import ContainerUse
from chaosbench.outcome import OpClass, Outcome
from chaosbench.sinks.prometheus import PrometheusSink
from chaosbench.sinks.wording import STAGES

DOCS = Path(__file__).parents[2] / "docs"


def table(page: str, heading: str) -> list[list[str]]:
    """The rows of the table whose head begins with ``heading``."""
    text = (DOCS / page).read_text()
    body = text[text.index(f"| {heading} |") :].split("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in body.splitlines()[2:]]


def test_every_kind_of_event_is_described_with_its_data() -> None:
    described = {row[0].strip("`"): set(re.findall(r"`(\w+)`", row[1])) for row in table("events.md", "kind")}
    emitted = {kind.value: {re.sub("_ns$", "_s", name) for name in DATA[kind]} for kind in Kind}
    assert described == emitted


def test_every_stage_that_has_words_is_described() -> None:
    (row,) = [row for row in table("events.md", "kind") if row[0] == "`stage`"]
    assert set(STAGES) <= set(re.findall(r"\w+", row[2]))


async def test_every_metric_is_described_with_its_type_and_labels() -> None:
    bench, sink = Bench(), PrometheusSink(0, containers=lambda: {"pg1": ContainerUse(0, 0, 1.5, 2, 3, 4, 5, 6)})
    shown = (
        *(Kind.RUN_STARTED, Kind.TRIAL_STARTED, Kind.SCENARIO_STARTED, Kind.FAULT_INJECTED, Kind.LEADER_CHANGED),
        *(Kind.DISK_FULL, Kind.DISK_ROOM, Kind.PARTS_REMOVED, Kind.CLOCK_STEPPED),
        *(Kind.WINDOW_CLOSED, Kind.FAULT_MEASURED, Kind.LEDGER_COMPARED),
    )
    for kind in shown:
        sink.on_event(event(kind))
    for op_class in OpClass:
        bench.ok(op_class=op_class)
    bench.bad(outcome=Outcome.UNKNOWN)
    bench.recorder.lag.record(2_000_000)
    bench.recorder.leader = "pg2"
    sink.on_tick(bench.recorder)
    found = {}
    for family in text_string_to_metric_families((await sink.render()).decode()):
        name = family.name + ("_total" if family.type == "counter" else "")
        labels = {label for sample in family.samples for label in sample.labels if label != "le"}
        found[name] = (family.type, labels)
    described = {
        row[0].strip("`"): (row[1], {label.strip() for label in row[2].split(",") if label.strip()})
        for row in table("metrics.md", "name")
    }
    assert described == found


def test_a_metrics_unit_is_in_its_name() -> None:
    for name, kind, _, unit, _ in table("metrics.md", "name"):
        assert (unit == "seconds") == ("_seconds" in name), name
        assert (unit == "bytes") == ("_bytes" in name), name
        assert (kind == "counter") == name.strip("`").endswith("_total"), name
