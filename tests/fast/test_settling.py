"""When the ledger is settled, and when it is not: of a comparison that was disturbed nothing is kept or deleted."""

from __future__ import annotations

import asyncio

import pytest
from fakes import FakeDatabase, FakeServer
from pyroaring import BitMap64

from chaosbench.clock import loop_clock
from chaosbench.cluster.fake import FakeCluster
from chaosbench.ledger import Ledger
from chaosbench.model.cluster import Member
from chaosbench.scenarios import settling
from chaosbench.scenarios.settling import NotNow, Settling
from chaosbench.settled import Checkpoint, Run

pytestmark = pytest.mark.looptime(noop_cycles=0)


class Bench:
    """A ledger of 12,000 acknowledged rows, all on every node, and what is called in which order."""

    def __init__(self) -> None:
        clock = loop_clock()
        self.cluster = FakeCluster(clock)
        self.database = FakeDatabase(FakeServer(clock))
        self.rows = self.database.rows
        self.ledger = Ledger(run=1)
        self.busy = False
        self.calls: list[str] = []
        self.settling = Settling(self.ledger, self.rows, self.cluster, clock, lambda: self.busy, self.save)
        for _ in range(12_000):
            row = self.ledger.attempt()
            self.ledger.acknowledge(row, "10.0.0.1/00000001", row, row, row)
        self.rows.there[1] = BitMap64(range(1, 12_001))

    async def save(self) -> None:
        assert self.ledger.settled.compared == 12_000
        assert not self.rows.dropped, "on disk before anything is deleted"
        self.calls.append("save")

    async def old(self) -> None:
        self.settling.tick()
        await asyncio.sleep(settling.AGE_S + 1)

    async def refused(self, why: str) -> None:
        with pytest.raises(NotNow, match=why):
            await self.settling.settle()
        assert self.ledger.settled.compared == 0
        assert self.ledger.held == 12_000
        assert (self.rows.dropped, self.calls) == ([], [])


async def test_rows_are_settled_saved_and_deleted_in_small_batches():
    bench = Bench()
    bench.rows.canary = 5000
    await bench.old()
    found = await bench.settling.settle()
    assert bench.rows.canary == 0
    assert (found.rows, found.upto, found.lost, found.gone) == (12_000, 12_000, (), ())
    assert bench.calls == ["save"]
    assert bench.rows.dropped == [settling.BATCH] * 6
    assert (bench.ledger.held, len(bench.ledger)) == (0, 12_000)
    assert bench.ledger.check("pg1", []).lost == ()


async def test_rows_that_ended_just_now_are_left():
    bench = Bench()
    bench.settling.tick()
    await asyncio.sleep(settling.AGE_S - 5)
    found = await bench.settling.settle()
    assert (found.rows, found.upto, bench.rows.dropped) == (0, 0, [])


async def test_nothing_is_settled_while_a_fault_is_in_place():
    bench = Bench()
    await bench.old()
    bench.busy = True
    await bench.refused("a fault is in place")


async def test_nothing_is_settled_when_a_fault_comes_in_the_middle(monkeypatch: pytest.MonkeyPatch):
    bench = Bench()
    await bench.old()
    asked = bench.rows.runs

    async def runs(node: Member, run: int, after: int, upto: int) -> tuple[Run, ...]:
        bench.busy = True
        return await asked(node, run, after, upto)

    monkeypatch.setattr(bench.rows, "runs", runs)
    await bench.refused("a fault came meanwhile")


async def test_nothing_is_settled_when_a_node_does_not_have_the_checkpoint(monkeypatch: pytest.MonkeyPatch):
    bench = Bench()
    await bench.old()

    async def keep(leader: Member, run: int, checkpoint: Checkpoint) -> None:
        for node in ("pg1", "pg2"):
            bench.rows.kept.setdefault(node, {})[checkpoint.number] = checkpoint

    monkeypatch.setattr(bench.rows, "keep", keep)
    await bench.refused("pg3 does not have the new checkpoint")


async def test_what_was_found_is_told_although_deleting_is_put_off(monkeypatch: pytest.MonkeyPatch):
    bench = Bench()
    bench.database.loses = frozenset({7})
    await bench.old()

    async def save() -> None:
        bench.busy = True  # a fault comes just then

    monkeypatch.setattr(bench.settling, "_save", save)
    found = await bench.settling.settle()
    assert (found.lost, bench.rows.dropped) == ((7,), [])
    bench.busy = False
    again = await bench.settling.settle()
    assert (again.rows, again.lost) == (0, ())
    assert sum(bench.rows.dropped) == 11_999


async def test_a_ledger_that_cannot_be_settled_is_held_as_sets_beyond_a_limit(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(settling, "HELD_MOST", 10_000)
    bench = Bench()
    bench.settling.tick()
    assert bench.ledger.held == 5000
    assert len(bench.ledger) == 12_000
    there = set(range(1, 12_001)) - {6, 11_000}
    assert bench.ledger.check("pg1", there).lost == (6, 11_000)
