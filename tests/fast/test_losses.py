"""Lost rows as a stretch of time and of WAL, as a table, and beside the fault that is nearest."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from summaries import FAULT, LEDGER, summary

from chaosbench.clock import NS
from chaosbench.ledger import Ledger
from chaosbench.model.consistency import Consistency, SplitBrain
from chaosbench.outcome import Outcome
from chaosbench.render import terminal
from chaosbench.scenarios.losses import beside_fault, losses
from chaosbench.scenarios.reconcile import report_of

A33, B34, C34 = "10.0.0.1/00000021", "10.0.0.2/00000022", "10.0.0.3/00000022"
FORKS = {33: 1_000, 34: 9_000}


def ledger(*acks: tuple[str, int]) -> Ledger:
    """Acknowledged by that server at that WAL position, one a second from one second after the start on."""
    made = Ledger(run=7)
    made.started_ns = 100 * NS
    for number, (mark, lsn) in enumerate(acks, 1):
        made.acknowledge(made.attempt(), mark, lsn, (99 + number) * NS, (100 + number) * NS)
    for node, address in (("pg1", "10.0.0.1"), ("pg2", "10.0.0.2"), ("pg3", "10.0.0.3")):
        made.servings.named(address, node)
    return made


ACKS = ((A33, 900), (A33, 1_200), (A33, 1_500), (B34, 9_100), (B34, 9_300), (C34, 9_050))


@pytest.mark.parametrize(
    ("lost", "forks", "times", "nodes", "wal"),
    [
        pytest.param([2, 3], FORKS, (2.0, 3.0, 1.0), ("pg1",), (500, "fork"), id="behind the fork"),
        pytest.param([3], FORKS, (3.0, 3.0, 0.0), ("pg1",), (500, "fork"), id="one row: from the fork to it"),
        pytest.param([2, 3], {}, (2.0, 3.0, 1.0), ("pg1",), (300, "first lost row"), id="no history"),
        pytest.param([1], FORKS, (1.0, 1.0, 0.0), ("pg1",), (0, "first lost row"), id="fork behind the row"),
        pytest.param([2, 3, 5], FORKS, (2.0, 5.0, 3.0), ("pg1", "pg2"), (800, "fork"), id="two failovers"),
        pytest.param([2, 5], {33: 1_000}, (2.0, 5.0, 3.0), ("pg1", "pg2"), (200, "first lost row"), id="one known"),
        pytest.param([5, 6], FORKS, (5.0, 6.0, 1.0), ("pg2", "pg3"), (350, "fork"), id="the same timeline twice"),
    ],
)
def test_losses(
    lost: list[int],
    forks: dict[int, int],
    times: tuple[float, float, float],
    nodes: tuple[str, ...],
    wal: tuple[int, str],
):
    found = losses(ledger(*ACKS), lost, forks)
    assert found is not None
    assert (found.first_s, found.last_s, found.span_s) == times
    assert (found.nodes, (found.wal_bytes, found.wal_from)) == (nodes, wal)


def test_nothing_lost_is_no_loss():
    assert losses(ledger(*ACKS), [], FORKS) is None


def test_a_row_that_only_a_retry_proved_has_a_time_and_no_position():
    made = ledger((A33, 900))
    made.settle(made.attempt(), Outcome.OK, 107 * NS)
    found = losses(made, [2], FORKS)
    assert found is not None
    assert (found.first_s, found.wal_bytes, found.wal_from, found.nodes) == (7.0, None, None, ())


@given(st.sets(st.integers(1, 6), min_size=1))
def test_bytes_and_times_only_grow_with_the_losses(lost: set[int]):
    made = ledger(*ACKS)
    whole, some = losses(made, range(1, 7), FORKS), losses(made, lost, FORKS)
    assert whole is not None
    assert some is not None
    assert some.span_s == max(lost) - min(lost) <= whole.span_s
    assert 0 <= (some.wal_bytes or 0) <= (whole.wal_bytes or 0)


def test_the_fault_is_the_one_whose_t0_is_nearest_to_the_last_loss():
    found = losses(ledger(*ACKS), [2, 3], FORKS)
    assert found is not None
    early, late = replace(FAULT, name="early", injecting_at_s=0.5), replace(FAULT, name="late", injecting_at_s=3.25)
    never = replace(FAULT, name="never", injecting_at_s=None)
    beside = beside_fault(found, (early, late, never))
    assert (beside.fault, beside.first_after_t0_s, beside.last_after_t0_s) == ("late", -1.25, -0.25)
    assert beside_fault(found, (never,)) == found


def test_the_report_tells_losses_and_what_is_unknown():
    made = ledger(*ACKS)
    made.attempt()
    report = report_of(made, [made.check("pg1", [1, 4, 5, 6])], [], FORKS)
    assert (report.lost_ids, report.unknown_ids) == ((2, 3), (7,))
    assert report.losses is not None
    assert report.losses.wal_bytes == 500
    assert report_of(made, [made.check("pg1", range(1, 7))], [], FORKS).losses is None


def test_a_person_reads_of_losses_and_of_split_brain():
    found = losses(ledger(*ACKS), [2, 3], FORKS)
    assert found is not None
    split = SplitBrain(
        node="pg1", timeline=33, successor="pg2", successor_timeline=34, since_s=4.0, rows=12, first_s=5.0, last_s=6.5
    )
    console = Console(width=200, record=True, color_system=None)
    shown = summary(
        ledger=replace(
            LEDGER, lost=2, lost_ids=(2, 3), losses=beside_fault(found, (replace(FAULT, injecting_at_s=3.5),))
        ),
        consistency=Consistency(split_brain=(split,)),
    )
    terminal.show(shown, console)
    text = console.export_text()
    assert "by pg1 within 1.000 s and 500 bytes of WAL, from -1.500 s to -0.500 s of kill-leader" in text
    assert (
        "split brain: pg1 (timeline 33) acknowledged 12 rows after pg2 (timeline 34) had taken over at 4.00 s" in text
    )
