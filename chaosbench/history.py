"""A run as a history in Jepsen's EDN form, for its checkers. Pure: operations in, lines out.

One map a line, as in a test's ``history.edn``: ``:invoke``, then ``:ok``,
``:fail`` or ``:info`` (unknown: it may take effect at any later time), with
``:process``, ``:f``, ``:value``, ``:time`` in nanoseconds and ``:index``.

- A process does one thing at a time. A worker is a process; after an ``:info``
  it goes on under a new number, because that operation may still take effect.
- What was shed never reached anybody and is not in the history.
- An operation sent more than once is invoked when the worker could first have
  sent it (it was due, and the one before it had ended): never too late, so that
  no checker is told of an order that was not there.

``SET`` gives ``:add`` and ``:read`` as ``jepsen.checker/set`` and Knossos' set
model take them; ``ELLE`` gives transactions of micro-operations in which each
row is a register written once, for ``elle.rw-register``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from chaosbench.outcome import Outcome


class Form(StrEnum):
    """Which checker it is for."""

    SET = "set"
    ELLE = "elle"


_TYPES = {Outcome.OK: "ok", Outcome.FAILED: "fail", Outcome.UNKNOWN: "info"}


@dataclass(frozen=True, slots=True)
class Insert:
    """One attempt to add a ledger row; stamps in nanoseconds since the measurement began. ``sent`` None: shed."""

    intended_ns: int
    sent_ns: int | None
    done_ns: int
    worker: int | None
    attempts: int
    outcome: Outcome
    reason: str
    row: int


@dataclass(frozen=True, slots=True)
class FinalRead:
    """The rows that a node held at the end, when every operation was over."""

    node: str
    rows: frozenset[int]


class _Entry(NamedTuple):
    """A line before it has its index; sorts by time, and within one process as things happened."""

    time_ns: int
    order: int
    process: int
    kind: str
    function: str
    value: str
    extra: str


def lines(inserts: Iterable[Insert], reads: Iterable[FinalRead], form: Form) -> Iterator[str]:
    """The history. ``inserts`` in order of done, as they were recorded."""
    chosen = [one for one in inserts if one.row and one.worker is not None and one.sent_ns is not None]
    entries = sorted(_inserts(chosen, form))
    after_ns = max((entry.time_ns for entry in entries), default=0)
    process = max((entry.process for entry in entries), default=-1) + 1
    rows = sorted(one.row for one in chosen)
    entries += (
        entry for n, read in enumerate(reads) for entry in _read(read, rows, form, after_ns + 1 + 2 * n, process)
    )
    for index, entry in enumerate(entries):
        yield (
            f"{{:index {index}, :time {entry.time_ns}, :type :{entry.kind}, :process {entry.process}, "
            f":f :{entry.function}, :value {entry.value}{entry.extra}}}"
        )


def _inserts(chosen: list[Insert], form: Form) -> Iterator[_Entry]:
    fresh = max((one.worker for one in chosen if one.worker is not None), default=-1) + 1
    processes: dict[int, int] = {}
    free_ns: dict[int, int] = {}
    for number, one in enumerate(chosen):
        assert one.worker is not None
        assert one.sent_ns is not None
        process = processes.setdefault(one.worker, one.worker)
        invoked_ns = one.sent_ns
        if one.attempts > 1:
            invoked_ns = max(one.intended_ns, free_ns.get(one.worker, one.intended_ns))
        kind = _TYPES[one.outcome]
        function = "add" if form is Form.SET else "txn"
        value = str(one.row) if form is Form.SET else f"[[:w {one.row} 1]]"
        why = f", :error {quoted(one.reason)}" if one.reason else ""
        yield _Entry(invoked_ns, 2 * number, process, "invoke", function, value, "")
        yield _Entry(one.done_ns, 2 * number + 1, process, kind, function, value, why)
        free_ns[one.worker] = one.done_ns
        if kind == "info":
            processes[one.worker] = fresh
            fresh += 1


def _read(read: FinalRead, rows: list[int], form: Form, time_ns: int, process: int) -> Iterator[_Entry]:
    node = f", :node {quoted(read.node)}"
    if form is Form.SET:
        function, asked, found = "read", "nil", f"#{{{' '.join(map(str, sorted(read.rows)))}}}"
    else:
        function = "txn"
        asked = f"[{' '.join(f'[:r {row} nil]' for row in rows)}]"
        values = ((row, "1" if row in read.rows else "nil") for row in rows)
        found = f"[{' '.join(f'[:r {row} {value}]' for row, value in values)}]"
    yield _Entry(time_ns, 0, process, "invoke", function, asked, node)
    yield _Entry(time_ns + 1, 1, process, "ok", function, found, node)


def quoted(text: str) -> str:
    """An EDN string."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
