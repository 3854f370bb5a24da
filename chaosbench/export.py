"""``chaosbench export``: a run's results in forms that other tools read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from chaosbench.errors import UsageError
from chaosbench.history import FinalRead, Form, Insert, lines
from chaosbench.outcome import Outcome
from chaosbench.results import SUMMARY
from chaosbench.rolling import parts_of
from chaosbench.sinks.samples_file import SAMPLES, require_pyarrow

HISTORY = "history.edn"
_COLUMNS = ("intended", "sent", "done", "worker", "attempts", "outcome", "reason", "row")


def export_edn(run: Path, form: Form, say: Callable[[str], None]) -> Path:
    """Write ``history.edn`` into a run's directory: its ledger rows, then what each node held at the end.

    UsageError when there are no samples, or none with ledger ids. A node whose
    rows are not known one by one (more than a thousand differed) is left out,
    and that is said.
    """
    parts = [part for _, part in parts_of(run / SAMPLES)]
    if not (run / SAMPLES).is_file() and not parts:
        raise UsageError(f"{run} has no {SAMPLES}: run with --samples")
    if (run / SAMPLES).is_file():
        parts.append(run / SAMPLES)
    inserts = [insert for part in parts for insert in _inserts(part)]
    if not inserts:
        raise UsageError(f"{run / SAMPLES} has no ledger rows: the scenario needs the workload 'ledger'")
    reads = tuple(_final_reads(run / SUMMARY, inserts, say))
    target = run / HISTORY
    partial = target.with_suffix(".partial")
    with partial.open("w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines(inserts, reads, form))
    partial.replace(target)
    return target


def _inserts(path: Path) -> Iterator[Insert]:
    arrow = require_pyarrow()
    try:
        file = import_module("pyarrow.parquet").ParquetFile(path)
    except (OSError, arrow.ArrowInvalid) as error:
        raise UsageError(f"{path} cannot be read (was the run killed?): {error}") from None
    with file:
        for batch in file.iter_batches(columns=list(_COLUMNS)):
            for values in zip(*(batch.column(name).to_pylist() for name in _COLUMNS), strict=True):
                intended, sent, done, worker, attempts, outcome, reason, row = values
                if row is not None:
                    yield Insert(intended, sent, done, worker, attempts, Outcome(outcome), reason, row)


def _final_reads(path: Path, inserts: list[Insert], say: Callable[[str], None]) -> Iterator[FinalRead]:
    try:
        ledger = json.loads(path.read_text())["ledger"]
    except FileNotFoundError:
        say(f"{path} is missing: the history ends without a final read")
        return
    for node in ledger["nodes"] if ledger else ():
        if any(len(node[f"{kind}_ids"]) < node[kind] for kind in ("lost", "recovered", "unexpected")):
            say(f"{node['node']} differs in more rows than are named: no final read of it")
            continue
        yield FinalRead(node["node"], _held(node, inserts))


def _held(node: Mapping[str, Any], inserts: list[Insert]) -> frozenset[int]:
    """The rows of the measurement that the node has, and those that nobody can explain; not those of the warm-up."""
    acked = {one.row for one in inserts if one.outcome is Outcome.OK}
    attempted = {one.row for one in inserts}
    recovered = attempted & set(node["recovered_ids"])
    return frozenset(acked - set(node["lost_ids"]) | recovered | set(node["unexpected_ids"]))
