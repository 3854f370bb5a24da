"""The history is EDN that another parser reads, and obeys the rules that Jepsen's checkers rely on."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import edn_format
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sinks_cases import ANCHOR
from test_samples_file import fill, recorder

from chaosbench import cli
from chaosbench.history import FinalRead, Form, Insert, lines, quoted
from chaosbench.outcome import Outcome
from chaosbench.sinks.samples_file import SamplesFile

MS = 1_000_000


def parsed(inserts: list[Insert], reads: tuple[FinalRead, ...] = (), form: Form = Form.SET) -> list[dict[str, Any]]:
    return [plain(edn_format.loads(line)) for line in lines(inserts, reads, form)]


def plain(entry: Any) -> dict[str, Any]:
    return {key.name: value.name if isinstance(value, edn_format.Keyword) else value for key, value in entry.items()}


def insert(row: int, sent: int, done: int, worker: int = 0, outcome: Outcome = Outcome.OK, attempts: int = 1) -> Insert:
    reason = "" if outcome is Outcome.OK else "timeout"
    return Insert((sent - 1) * MS, sent * MS, done * MS, worker, attempts, outcome, reason, row)


def test_each_outcome_has_its_type():
    history = parsed(
        [insert(1, 1, 2), insert(2, 3, 4, outcome=Outcome.FAILED), insert(3, 5, 6, outcome=Outcome.UNKNOWN)]
    )
    assert [(one["type"], one["f"], one["value"], one["index"]) for one in history] == [
        ("invoke", "add", 1, 0),
        ("ok", "add", 1, 1),
        ("invoke", "add", 2, 2),
        ("fail", "add", 2, 3),
        ("invoke", "add", 3, 4),
        ("info", "add", 3, 5),
    ]
    assert history[5]["error"] == "timeout"
    assert history[0]["time"] == 1 * MS


def test_after_an_info_the_process_has_a_new_number():
    history = parsed([insert(1, 1, 2, outcome=Outcome.UNKNOWN), insert(2, 3, 4), insert(3, 1, 5, worker=1)])
    assert {one["value"]: one["process"] for one in history} == {1: 0, 2: 2, 3: 1}


def test_what_was_shed_or_has_no_row_is_not_in_it():
    shed = Insert(1, None, 2, None, 0, Outcome.SHED, "deadline", 0)
    assert parsed([shed, insert(1, 1, 2)]) == parsed([insert(1, 1, 2)])


def test_a_retried_insert_is_invoked_before_its_first_attempt():
    """``sent`` is the last attempt's, so the end of what the worker did before must do."""
    first = insert(1, 1, 2)
    again = Insert(1 * MS, 90 * MS, 95 * MS, 0, 2, Outcome.OK, "", 2)
    history = parsed([first, again])
    assert [(one["type"], one["value"], one["time"]) for one in history][2] == ("invoke", 2, 2 * MS)


def test_a_node_is_read_at_the_end():
    inserts = [insert(1, 1, 2), insert(2, 3, 4)]
    invoked, done = parsed(inserts, (FinalRead("pg1", frozenset({1})),))[-2:]
    assert (invoked["f"], invoked["type"], invoked["value"]) == ("read", "invoke", None)
    assert (done["type"], done["value"], done["node"]) == ("ok", {1}, "pg1")
    assert done["time"] > invoked["time"] > 4 * MS


def test_transactions_for_elle():
    history = parsed([insert(1, 1, 2), insert(2, 3, 4)], (FinalRead("pg1", frozenset({1})),), Form.ELLE)
    values = [[[getattr(part, "name", part) for part in op] for op in one["value"]] for one in history]
    assert {one["f"] for one in history} == {"txn"}
    assert values[0] == [["w", 1, 1]]
    assert values[-2:] == [[["r", 1, None], ["r", 2, None]], [["r", 1, 1], ["r", 2, None]]]


ops = st.lists(
    st.tuples(
        st.integers(0, 3), st.integers(0, 5), st.integers(1, 9), st.sampled_from(list(Outcome)), st.integers(1, 3)
    ),
    max_size=60,
)


@given(ops)
@settings(deadline=None)  # which would measure how busy the machine is
def test_processes_do_one_thing_at_a_time_and_never_come_back_from_an_info(steps: list[tuple[int, ...]]):
    free: dict[int, int] = defaultdict(int)
    inserts = []
    for row, (worker, pause, takes, outcome, attempts) in enumerate(steps, start=1):
        sent = free[worker] + pause
        free[worker] = sent + takes
        if outcome is not Outcome.SHED:
            inserts.append(Insert(max(0, sent - 3), sent, free[worker], worker, attempts, outcome, "", row))  # type: ignore[arg-type]
    history = parsed(sorted(inserts, key=lambda one: one.done_ns))
    assert [one["index"] for one in history] == list(range(len(history)))
    assert [one["time"] for one in history] == sorted(one["time"] for one in history)
    open_: dict[int, int] = {}
    gone: set[int] = set()
    for one in history:
        process = one["process"]
        assert process not in gone
        if one["type"] == "invoke":
            assert process not in open_, "one thing at a time"
            open_[process] = one["value"]
        else:
            assert open_.pop(process) == one["value"], "it ends what it began"
            if one["type"] == "info":
                gone.add(process)
    assert not open_
    assert sorted(one["value"] for one in history if one["type"] == "invoke") == sorted(one.row for one in inserts)


@given(st.text())
def test_any_text_survives(text: str):
    assert edn_format.loads(quoted(text)) == text


def run_of(path: Path, **node: object) -> Path:
    sink, source = SamplesFile(path / "samples.parquet", ANCHOR), recorder()
    fill(source, 4)
    sink.on_tick(source)
    sink.close()
    held = {"node": "pg1", "rows": 4, "lost": 0, "recovered": 0, "unexpected": 0} | node
    ids = {f"{kind}_ids": held.get(f"{kind}_ids", []) for kind in ("lost", "recovered", "unexpected")}
    (path / "summary.json").write_text(json.dumps({"ledger": {"nodes": [held | ids]}}))
    return path


def exported(path: Path) -> list[dict[str, Any]]:
    return [plain(edn_format.loads(line)) for line in (path / "history.edn").read_text().splitlines()]


def test_the_command_writes_what_the_nodes_held(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run_of(tmp_path, lost=1, lost_ids=[2], unexpected=1, unexpected_ids=[9])
    assert cli.main(["export", str(tmp_path), "--edn"]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "history.edn")
    history = exported(tmp_path)
    assert len(history) == 2 * 4 + 2
    assert history[-1]["value"] == {1, 3, 4, 9}
    assert pyarrow.parquet.read_metadata(tmp_path / "samples.parquet").num_rows == 4


def test_a_node_of_which_not_every_row_is_known_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run_of(tmp_path, lost=2, lost_ids=[2])
    assert cli.main(["export", str(tmp_path), "--edn", "elle"]) == 0
    assert "no final read" in capsys.readouterr().err
    assert len(exported(tmp_path)) == 2 * 4


def test_a_run_without_samples_is_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert cli.main(["export", str(tmp_path), "--edn"]) == 2
    assert capsys.readouterr().err == f"{tmp_path} has no samples.parquet: run with --samples\n"
    (tmp_path / "samples.parquet").write_bytes(b"PAR1")
    assert cli.main(["export", str(tmp_path), "--edn"]) == 2
    assert "cannot be read (was the run killed?)" in capsys.readouterr().err
