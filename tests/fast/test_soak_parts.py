"""The parts of a soak one by one: what is settled against sets, the log, the tables, what bounds memory."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from io import StringIO
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroaring import BitMap64
from rich.console import Console
from summaries import FAULT

from chaosbench.clock import Clock
from chaosbench.ledger import Ledger
from chaosbench.model.observation import KeyChange, NodeChange, NodeState
from chaosbench.model.report import FaultReport
from chaosbench.model.scenario import Windows
from chaosbench.observers.record import Record
from chaosbench.outage import WriteOutage
from chaosbench.outcome import OpClass, Outcome
from chaosbench.recorder.recorder import Recorder
from chaosbench.recorder.stored import difference, restored, stored, together
from chaosbench.render.soak import fault_table
from chaosbench.scenarios.fault_table import KEPT, WORST, FaultTable, nearest
from chaosbench.scenarios.ledger_log import LedgerLog, caught_up, entries, packed, replayed
from chaosbench.scenarios.reconcile import report_of
from chaosbench.settled import Checkpoint, Settled
from chaosbench.windows import KEPT as WINDOWS_KEPT
from chaosbench.windows import WindowFolder

ENDS = st.lists(st.sampled_from([Outcome.OK, Outcome.FAILED, Outcome.UNKNOWN]), min_size=1, max_size=60)


def end(ledger: Ledger, outcome: Outcome) -> int:
    row = ledger.attempt()
    if outcome is Outcome.OK:
        ledger.acknowledge(row, "10.0.0.1/00000001", row * 100, row * 10, row * 10 + 5)
    else:
        ledger.settle(row, outcome)
    return row


@given(ENDS, st.sets(st.integers(1, 60)), st.lists(st.integers(1, 60), max_size=6))
def test_settling_in_steps_finds_what_one_comparison_would(ends: list[Outcome], there: set[int], steps: list[int]):
    """Settled rows are deleted from the table; nothing else differs."""
    whole, settled = Ledger(run=1), Ledger(run=1)
    for outcome in ends:
        end(whole, outcome)
        end(settled, outcome)
    there = {row for row in there if row <= len(ends)}
    for upto in sorted({step for step in steps if step <= len(ends)}):
        found = settled.compared(settled.settled.compared, upto, [BitMap64(there)])
        within = BitMap64([row for row in there if settled.settled.compared < row <= upto])
        found = settled.compared(settled.settled.compared, upto, [within])
        settled.fold(upto)
        settled.settled.settle([found])
    left = {row for row in there if row > settled.settled.compared}
    one = report_of(whole, [whole.check("pg1", there)], [])
    two = report_of(settled, [settled.check("pg1", left)], [])
    for name in ("attempted", "acked", "failed", "unknown", "lost", "recovered", "unexpected", "lost_ids"):
        assert getattr(one, name) == getattr(two, name), name
    assert one.unknown_ids == two.unknown_ids
    again = Settled.restored(settled.settled.stored())
    assert again == settled.settled


def test_what_turns_up_later_among_settled_rows_is_recovered_or_unexpected():
    ledger = Ledger(run=1)
    for outcome in (Outcome.OK, Outcome.UNKNOWN, Outcome.FAILED, Outcome.UNKNOWN):
        end(ledger, outcome)
    found = ledger.compared(0, 4, [BitMap64([1])])
    ledger.fold(4)
    ledger.settled.settle([found])
    assert not ledger.settled.turned_up(BitMap64([1]))
    assert ledger.settled.turned_up(BitMap64([2, 3]))
    assert (set(ledger.settled.recovered), set(ledger.settled.unexpected)) == ({2}, {3})


def test_a_node_that_lacks_a_row_makes_it_lost_and_the_checkpoint_does_not_have_it():
    ledger = Ledger(run=1)
    for _ in range(3):
        end(ledger, Outcome.OK)
    found = ledger.compared(0, 3, [BitMap64([1, 2, 3]), BitMap64([1, 3])])
    assert (set(found.lost), set(found.everywhere)) == ({2}, {1, 3})


def test_ids_that_have_not_ended_are_never_settled():
    ledger = Ledger(run=1)
    end(ledger, Outcome.OK)
    open_ = ledger.attempt()
    end(ledger, Outcome.OK)
    assert ledger.all_ended(3) == 1
    ledger.settle(open_, Outcome.FAILED)
    assert ledger.all_ended(3) == 3
    assert ledger.all_ended(2) == 2


def test_a_checkpoint_that_differs_is_gone():
    settled = Settled()
    one = Checkpoint.of(1, 0, 10, BitMap64(range(1, 11)))
    settled.keep(one)
    assert settled.missing([one]) == ()
    other = Checkpoint.of(1, 0, 10, BitMap64(range(1, 10)))
    assert settled.missing([other]) == (1,)
    assert settled.gone == {1: 10}


# The log


def test_each_id_is_told_once_it_has_ended():
    ledger = Ledger(run=1)
    end(ledger, Outcome.OK)
    open_ = ledger.attempt()
    end(ledger, Outcome.FAILED)
    first = ledger.ended()
    assert (first.upto, set(first.acked), set(first.failed)) == (3, {1}, {3})
    ledger.settle(open_, Outcome.UNKNOWN)
    second = ledger.ended()
    assert (set(second.acked), set(second.failed), set(second.unknown)) == (set(), set(), {2})


def test_a_log_is_read_up_to_an_entry_that_was_cut_short(tmp_path: Path):
    ledger, log = Ledger(run=1), LedgerLog(tmp_path)
    for _ in range(3):
        end(ledger, Outcome.OK)
        log.append(ledger.ended())
    log.close()
    (file,) = tmp_path.glob("*.log")
    content = file.read_bytes()
    assert [entry.upto for entry in entries(content)] == [1, 2, 3]
    assert [entry.upto for entry in entries(content[:-1])] == [1, 2]
    assert [entry.upto for entry in entries(content[:-1] + b"x")] == [1, 2], "the checksum"
    log.begin_anew(ledger.everything())
    log.close()
    assert [set(entry.acked) for entry in replayed(tmp_path)] == [{1, 2, 3}]
    assert len(list(tmp_path.glob("*.log"))) == 1


def test_after_a_kill_what_the_log_does_not_say_is_unknown():
    ledger = Ledger(run=1)
    end(ledger, Outcome.OK)
    end(ledger, Outcome.FAILED)
    ledger.attempt()
    (logged,) = entries(packed(ledger.ended()))
    settled = Settled()
    caught_up(settled, [logged], in_database=7)
    again = Ledger(1, settled)
    assert (len(again), again.count(Outcome.OK), again.count(Outcome.FAILED), again.count(Outcome.UNKNOWN)) == (
        3,
        1,
        1,
        1,
    )
    assert again.attempt() > 7 + 999_999
    check = again.check("pg1", [1, 3, 5, 7])
    assert (check.lost, check.recovered, check.unexpected) == ((), (3, 5, 7), ())
    assert set(again.found_unlogged) == {5, 7}


# Figures


def filled(clock: Clock) -> Recorder:
    recorder = Recorder(clock, Windows(), lambda event: None)
    tally = recorder.tally("w", "op", OpClass.WRITE)
    for n in range(1, 200):
        at_ns = recorder.started_ns + n * 10_000_000
        tally.attempted += 1
        if n % 50:
            tally.record_ok(at_ns, at_ns, at_ns + n * 1_000_000)
        else:
            recorder.bad(tally, Outcome.FAILED, "57P01", at_ns, at_ns, at_ns + 1_000_000)
    recorder.lag.record(12_000_000)
    return recorder


def test_figures_come_back_as_they_were_and_add_up():
    first = filled(Clock())
    first.tally("w", "op", OpClass.WRITE).attempted += 2  # under way when chaosbench is killed
    again = restored(stored(first), first)
    (before,), (after,) = first.tallies, again.tallies
    assert after.response.counts == before.response.counts
    assert (after.ok, after.attempted, after.in_flight) == (before.ok, before.attempted, 0)
    assert after.ended == before.ended + Counter({Outcome.UNKNOWN: 2})
    assert after.reasons[Outcome.UNKNOWN, "interrupted"] == 2
    assert again.lag.histogram.counts == first.lag.histogram.counts
    assert [one.duration_ns for one in again.windows()] == [one.duration_ns for one in first.windows()]
    (both,) = together(filled(Clock()), again).tallies
    assert both.ok == 2 * before.ok
    assert both.response.total == both.ok
    assert both.response.counts == [2 * count for count in before.response.counts]


def test_the_difference_of_two_copies_is_what_came_in_between():
    recorder = filled(Clock())
    copy = together(recorder)
    tally = recorder.tally("w", "op", OpClass.WRITE)
    tally.attempted += 1
    tally.record_ok(recorder.started_ns, recorder.started_ns, recorder.started_ns + 5_000_000)
    (found,) = difference(together(recorder), copy)
    assert (found.ok, found.attempted, found.response.total, found.ended) == (1, 1, 1, Counter())


# What bounds memory


def fault(number: int, rto_s: float) -> FaultReport:
    return replace(FAULT, name=f"often-{number}", rto_s=rto_s, recovered=True)


def test_the_table_counts_all_faults_and_keeps_the_newest_and_the_worst():
    table = FaultTable()
    for number in range(1, 1001):
        report = fault(number, 99.0 if number == 7 else float(number % 10))
        table.add("often", report)
        table.keep(report)
    (row,) = table.rows()
    assert (row.recovered + row.unnoticed, row.rto_s.n, row.rto_s.worst, row.rto_s.worst_fault) == (
        1000,
        1000,
        99.0,
        "often-7",
    )
    assert row.rto_s.mean == pytest.approx((sum(n % 10 for n in range(1, 1001)) - 7 + 99) / 1000)
    assert row.rto_s.median == 4.0
    assert len(table.reports) <= KEPT + WORST
    assert table.reports[0].name == "often-7"
    assert table.reports[-1].name == "often-1000"
    again = FaultTable.restored(table.stored())
    assert (again.rows(), again.reports) == (table.rows(), table.reports)


def test_a_loss_belongs_to_the_nearest_fault():
    assert nearest([(10.0, "a"), (20.0, "b")], 14.0) == "a"
    assert nearest([(10.0, "a"), (20.0, "b")], 16.0) == "b"
    assert nearest([], 16.0) is None


def test_windows_that_are_dropped_are_counted_and_the_longest_stays():
    folder = WindowFolder(OpClass.WRITE, quiet_ns=10)
    lengths = [5] * (WINDOWS_KEPT + 300)
    lengths[3] = 77
    for number, length in enumerate(lengths):
        folder.bad(number * 1000, number * 1000 + length, Outcome.FAILED)
        folder.advance(number * 1000 + 500, number)
        folder.advance(number * 1000 + 600, number)
    assert len(folder.windows) == WINDOWS_KEPT
    assert folder.dropped == 300
    assert folder.dropped_ns + sum(window.duration_ns for window in folder.windows) == sum(lengths)
    assert max(window.duration_ns for window in folder.windows) == 77
    assert all(one.end_ns <= two.start_ns for one, two in pairwise(folder.windows))


def test_a_sealed_outage_says_the_same_and_remembers_nothing():
    outage = WriteOutage(0)
    outage.ack(1, 2)
    outage.bad(5, 6)
    for at in range(50, 90):
        outage.ack(at, at + 1)
    before = outage.t1_ns, outage.t6_ns(100), outage.longest_gap(100)
    outage.seal(100)
    assert (outage.t1_ns, outage.t6_ns(10_000), outage.longest_gap(10_000)) == before
    assert not outage._done_ns


def test_observations_before_the_oldest_fault_are_reduced_to_how_things_stood():
    record = Record()
    for at in range(10):
        record.keys.append(KeyChange(at, at, f"pg{at}", at, "etcd1"))
        record.node(NodeChange(at, at, "pg1", NodeState(reachable=bool(at % 2))))
    append = record.keys.append
    record.forget(5)
    assert [change.at_ns for change in record.keys] == [4, 5, 6, 7, 8, 9]
    assert [change.at_ns for change in record.nodes] == [4, 5, 6, 7, 8, 9]
    append(KeyChange(10, 10, None, 10, "etcd1"))
    assert record.keys[-1].at_ns == 10, "observers go on telling the same record"


def test_the_table_of_all_faults_fits_a_terminal():
    table = FaultTable()
    for number in range(30):
        table.add("random-faults-of-all-kinds", replace(fault(number, 12345.67), injector="terminate-backends"))
    skipped = replace(fault(31, 1.0), injector="terminate-backends", skipped="its time was over")
    table.add("random-faults-of-all-kinds", skipped)
    table.lost("often-3", 1234)
    shown = Console(width=80, file=StringIO())
    shown.print(fault_table(table.rows()))
    text = shown.file.getvalue()  # type: ignore[attr-defined]
    assert "…" not in text
    words = text.split()
    assert {"30", "12345.67", "out,", "1,234", "lost"} <= set(words)
    assert "not" not in words, "what did not happen is not told"
