"""What is kept of a measurement while it goes on: every fault as it ends; of a soak, all that it takes to go on later.

Once a second faults that are over are told, and the ids that ended go to the ledger's log. Every ten seconds
the state is written; now and then the ledger is settled, and a roll-up made. A disk that takes nothing costs that.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from chaosbench.clock import NS, iso, to_ns, to_s
from chaosbench.events import Kind
from chaosbench.ledger import Ledger
from chaosbench.model.cluster import Snapshot
from chaosbench.model.consistency import Consistency
from chaosbench.model.report import FaultReport, LedgerReport, Summary
from chaosbench.model.soak import SoakReport
from chaosbench.observers.watch import Watch
from chaosbench.outcome import OpClass
from chaosbench.recorder.recorder import Recorder
from chaosbench.recorder.stored import restored, stored, together
from chaosbench.scenarios import rollups
from chaosbench.scenarios.consistency import consistency, handed_over, take_over, with_earlier
from chaosbench.scenarios.fault_table import KEPT, FaultTable, cut_off
from chaosbench.scenarios.faults import Faults
from chaosbench.scenarios.ledger_keeping import LedgerKeeping, ledger_of, settled_report
from chaosbench.scenarios.reconcile import settled_so_far
from chaosbench.scenarios.rollups import Stretch
from chaosbench.scenarios.scenario import Scenario
from chaosbench.scenarios.segments import Segments
from chaosbench.scenarios.soak_state import State, read_state, understood, write_state
from chaosbench.scenarios.stopping import stopped
from chaosbench.scenarios.telling import Telling
from chaosbench.scenarios.writing import Writing
from chaosbench.workload import Context

if TYPE_CHECKING:
    from chaosbench.scenarios.run import Bench

STATE_S = 10.0
log = logging.getLogger(__name__)

SoFar = Callable[[LedgerReport | None], Summary]
"""The summary as it stands while the load runs."""


class Keeping:
    """Made at the start of a scenario; :meth:`running` goes along with its measurement."""

    def __init__(self, scenario: Scenario, bench: Bench) -> None:
        self._scenario = scenario
        self._bench = bench
        self._directory = bench.directory if scenario.soak else None
        self._earlier_state = state = read_state(self._directory)
        self._earlier: Recorder | None = None
        with understood(self._directory):
            self._table = FaultTable.restored(state.faults) if state else FaultTable()
        self._stretch = Stretch(state.rollups, state.rolled_up_s, state.rolled_up_at) if state else Stretch()
        self._writing = Writing(lambda text: bench.hub.say(Kind.WARNING, text=text))
        self._saving = asyncio.Lock()
        self._load_ended_ns: int | None = None

    @property
    def elapsed_ns(self) -> int:
        """How much of the measurement was done before."""
        return self._earlier_state.elapsed_ns if self._earlier_state else 0

    @property
    def left(self) -> float:
        """Seconds of the measurement that are still to come."""
        return max(0.0, self._scenario.duration - self.elapsed_ns / NS)

    @property
    def reports(self) -> tuple[FaultReport, ...]:
        """Faults of which only their reports are left."""
        return tuple(self._table.reports)

    async def ledger(self, snapshot: Snapshot) -> Ledger:
        """The ledger to go on with, or a new one."""
        return await ledger_of(self._bench, snapshot, self._earlier_state)

    def begin(
        self, context: Context, recorder: Recorder, faults: Faults, watch: Watch, warnings: list[str], so_far: SoFar
    ) -> None:
        """The measurement begins, or goes on. ``warnings``: those that were told, now and later."""
        bench, state, ledger = self._bench, self._earlier_state, context.ledger
        self._ledger, self._recorder, self._faults, self._so_far = ledger, recorder, faults, so_far
        self._context, self._watch, self._warnings = context, watch, warnings
        self._telling = Telling(faults, recorder, watch, bench, self._table, 0 if self._scenario.soak else KEPT)
        self._segments = Segments((), 0, None)
        if state is None:
            return
        self._segments = Segments(state.segments, state.elapsed_ns, state.saved_at)
        with understood(self._directory):
            self._earlier = restored(state.recorder, recorder)
            self._stretch.base = restored(state.rolled_up, recorder) if state.rolled_up else None
            take_over(context.registers, state.stale)
        warnings += state.warnings
        t0s = [one.injecting_at_s for one in self._table.reports if one.injecting_at_s is not None]
        faults.go_on(state.done, t0s)
        for report in map(cut_off, state.under_way):
            self._table.add(self._scenario.entry_of(report.name), report)
            self._table.keep(report)
        bench.hub.say(
            Kind.RESUMED,
            segment=self._segments.number,
            elapsed_s=to_s(self.elapsed_ns),
            gap_s=self._segments.gap_s,
            ended=state.ended,
            rows_unlogged=len(ledger.settled.unlogged),
        )

    def consistency(self) -> Consistency:
        """Who served, and what two nodes did at once, in earlier segments too."""
        now = consistency(self._context, self._watch.double_primaries)
        return with_earlier(now, self._earlier_state.consistency) if self._earlier_state else now

    def figures(self) -> Recorder:
        """All that was counted, in earlier segments too."""
        return self._recorder if self._earlier is None else together(self._recorder, self._earlier)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep, for the length of the block."""
        tasks = [asyncio.create_task(self._ticking())]
        if self._directory is not None:
            self._rows = LedgerKeeping(
                self._ledger,
                self._bench,
                self._directory,
                self._writing,
                lambda: bool(self._recorder.active_faults),
                self.save,
                self._lost,
            )
            tasks.append(asyncio.create_task(self._rows.settle_every(self._scenario.settle)))
        for task in tasks:
            task.add_done_callback(self._defect)
        try:
            yield
        finally:
            await stopped(*tasks)

    def _defect(self, task: asyncio.Task[None]) -> None:
        """Neither of these ends by itself: what ends one must not go unseen for a week."""
        if not task.cancelled() and (error := task.exception()) is not None:
            text = f"keeping has ended, a killed run goes on from here: {type(error).__name__}: {error}"
            log.error("keeping ended", exc_info=error)
            self._bench.hub.say(Kind.WARNING, text=text)

    async def finish(self, load_ended_ns: int, compared: LedgerReport | None) -> None:
        """All is over: tell of all faults and whose losses they are, write the state a last time."""
        self._load_ended_ns = load_ended_ns
        self._telling.rest(load_ended_ns)
        if compared is not None:
            self._lost(row for row in compared.lost_ids if row not in self._ledger.settled.lost)
        if self._directory is not None:
            await self._rows.close()
            await self.save(ended=True)
        self._writing.close()

    def report(self, ledger: LedgerReport | None) -> SoakReport | None:
        """What the summary has of its own; None where the scenario is no soak."""
        if not self._scenario.soak:
            return None
        figures = self.figures()
        return SoakReport(
            segments=self._segments.until(self._measured_ns, ended=True),
            fault_table=self._table.rows(),
            windows_dropped={op_class.value: figures.dropped(op_class)[0] for op_class in OpClass},
            settled=None if ledger is None else settled_report(self._ledger),
            rollups=self._stretch.number,
        )

    def _lost(self, rows: Iterable[int]) -> None:
        """These rows were found to be lost: by which fault?"""
        details = map(self._ledger.acknowledgement, rows)
        self._telling.lost([one.done_ns for one in details if one is not None])

    async def save(self, *, ended: bool = False) -> None:
        """Write the state; returns when it is on the disk. What cannot be written is told once."""
        if self._directory is None:
            return
        async with self._saving:
            state, directory = self._state(ended=ended), self._directory
            figures, base = together(self._recorder, self._earlier), self._stretch.base
            settled = self._ledger.settled.stored()

            def write() -> None:
                rolled_up = stored(base) if base is not None else None
                write_state(replace(state, recorder=stored(figures), rolled_up=rolled_up, settled=settled), directory)

            await self._writing.tried("state.json", write)

    def _state(self, *, ended: bool) -> State:
        table, measured_ns = self._table.stored(self._telling.told.values()), self._measured_ns
        return State(
            scenario=self._scenario.name,
            seed=self._bench.seed,
            run=self._ledger.run,
            elapsed_ns=measured_ns,
            saved_at=iso(datetime.now(UTC)),
            ended=ended,
            segments=self._segments.until(measured_ns, ended=ended),
            done=dict(self._faults.done),
            recorder={},
            faults=table,
            under_way=() if ended else tuple(self._telling.under_way()),
            settled={},
            rollups=self._stretch.number,
            rolled_up=None,
            rolled_up_s=self._stretch.from_s,
            rolled_up_at=self._stretch.from_at,
            warnings=tuple(self._warnings),
            consistency=self.consistency(),
            stale=handed_over(self._context.registers),
        )

    @property
    def _measured_ns(self) -> int:
        return (self._load_ended_ns or self._bench.clock.now()) - self._recorder.started_ns

    async def _ticking(self) -> None:
        clock, saved_ns = self._bench.clock, self._bench.clock.now()
        if self._directory is not None:
            await self.save()
        while True:
            await clock.sleep(1.0)
            over = self._telling.tick()
            if self._directory is None:
                continue
            self._stretch.faults += over
            await self._rows.append()
            if clock.now() - saved_ns >= to_ns(STATE_S):
                saved_ns = clock.now()
                await self.save()
            if self._scenario.rollup and to_s(self._measured_ns) - self._stretch.from_s >= self._scenario.rollup:
                await self._roll_up()

    async def _roll_up(self) -> None:
        """Write one; its stretch ends now."""
        directory = self._directory
        assert directory is not None
        found = self._stretch.roll_up(
            self._so_far(settled_so_far(self._ledger)), together(self._recorder, self._earlier)
        )
        if await self._writing.tried("a roll-up", lambda: rollups.write(found, directory)):
            file = str(directory / rollups.DIRECTORY / f"{found.number:03d}.md")
            self._bench.hub.say(Kind.ROLLED_UP, number=found.number, verdict=found.verdict.value, file=file)
