"""The ledger, held against sets: lost = acked - there, recovered = there and unknown, unexpected = the rest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosbench.ledger import Ledger
from chaosbench.outcome import Outcome
from chaosbench.scenarios.reconcile import report_of
from chaosbench.serving import Server

ENDS = st.lists(st.sampled_from([Outcome.OK, Outcome.FAILED, Outcome.UNKNOWN, None]), max_size=60)


def filled(ends: list[Outcome | None]) -> Ledger:
    ledger = Ledger(run=7)
    for end in ends:
        row = ledger.attempt()
        if end is Outcome.OK:
            ledger.acknowledge(row, "10.0.0.1/00000001", row * 100, row * 10, row * 10 + 5)
        elif end is not None:
            ledger.settle(row, end)
    return ledger


def test_ids_count_from_one():
    ledger = Ledger(run=7)
    assert len(ledger) == 0
    assert [ledger.attempt(), ledger.attempt()] == [1, 2]
    assert len(ledger) == 2


def test_lost_recovered_unexpected():
    ledger = filled([Outcome.OK, Outcome.OK, Outcome.FAILED, Outcome.UNKNOWN, Outcome.UNKNOWN, None])
    check = ledger.check("pg1", [2, 3, 5, 6, 99, 0, -1])
    assert (check.rows, check.lost, check.recovered, check.unexpected) == (7, (1,), (5, 6), (-1, 0, 3, 99))


def test_a_retry_that_proves_the_first_attempt_turns_unknown_into_ok():
    ledger = filled([Outcome.UNKNOWN])
    ledger.settle(1, Outcome.OK)
    assert ledger.check("pg1", []).lost == (1,)


@given(ENDS, st.sets(st.integers(-2, 70)))
def test_it_agrees_with_sets(ends: list[Outcome | None], found: set[int]):
    ledger = filled(ends)
    ids = {end: {row for row, one in enumerate(ends, 1) if one is end} for end in (*Outcome, None)}
    acked, failed = ids[Outcome.OK], ids[Outcome.FAILED]
    unknown = ids[Outcome.UNKNOWN] | ids[None]
    check = ledger.check("pg1", found)
    assert set(check.lost) == acked - found
    assert set(check.recovered) == unknown & found
    assert set(check.unexpected) == found - acked - unknown
    assert check.rows == len(found)
    assert (ledger.count(Outcome.OK), ledger.count(Outcome.FAILED)) == (len(acked), len(failed))
    assert ledger.count(Outcome.UNKNOWN) == len(unknown)
    assert len(ledger) == len(acked) + len(failed) + len(unknown)


def test_lost_on_any_node_is_lost():
    ledger = filled([Outcome.OK, Outcome.OK, Outcome.UNKNOWN])
    report = report_of(ledger, [ledger.check("pg1", [1, 2, 3]), ledger.check("pg2", [1])], [])
    assert (report.lost, report.lost_ids, report.recovered, report.unexpected) == (1, (2,), 1, 0)
    assert [(node.node, node.lost, node.recovered) for node in report.nodes] == [("pg1", 0, 1), ("pg2", 1, 0)]
    assert (report.acked, report.unknown, report.checked) == (2, 1, True)


def test_without_any_node_nothing_is_claimed():
    report = report_of(filled([Outcome.OK]), [], ["pg1 is away", "pg2 is away"])
    assert (report.lost, report.recovered, report.unexpected, report.checked) == (None, None, None, False)
    assert report.note == "pg1 is away; pg2 is away"


def test_only_a_thousand_ids_are_named():
    ledger = filled([Outcome.OK] * 1500)
    report = report_of(ledger, [ledger.check("pg1", [])], [])
    assert (report.lost, len(report.lost_ids)) == (1500, 1000)


def test_shed_is_no_end_for_a_row():
    with pytest.raises(KeyError):
        filled([None]).settle(1, Outcome.SHED)


def test_an_acknowledgement_is_kept_with_its_time_its_position_and_its_server():
    ledger = filled([Outcome.OK, Outcome.UNKNOWN, None])
    found = ledger.acknowledgement(1)
    assert (found.done_ns, found.lsn, found.server) == (15, 100, Server(1, "10.0.0.1"))
    ledger.settle(2, Outcome.OK, 77)
    proven = ledger.acknowledgement(2)
    assert (proven.done_ns, proven.lsn, proven.server) == (77, 0, None), "a retry proves it, and tells nothing else"
    assert ledger.unknown_ids() == (3,)
