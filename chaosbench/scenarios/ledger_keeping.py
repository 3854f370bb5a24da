"""A soak's ledger kept: which rows ended how, on disk within a second; settled now and then."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from chaosbench.clock import to_ns
from chaosbench.events import Kind
from chaosbench.ledger import Ledger
from chaosbench.model.cluster import Role, Snapshot
from chaosbench.model.soak import SettledReport
from chaosbench.scenarios.ledger_log import LedgerLog, caught_up, replayed
from chaosbench.scenarios.settling import NotNow, Settlement, Settling
from chaosbench.scenarios.soak_state import State, understood
from chaosbench.scenarios.writing import Writing
from chaosbench.settled import Settled

if TYPE_CHECKING:
    from chaosbench.scenarios.run import Bench


async def ledger_of(bench: Bench, snapshot: Snapshot, state: State | None) -> Ledger:
    """The ledger to go on with after an end of chaosbench, or a new one."""
    if state is None or bench.directory is None:
        return Ledger(run=int(bench.anchor.date(bench.clock.now()).timestamp() * 1_000_000))
    rows = bench.database.ledger_rows()
    newest = [await rows.newest(node, state.run) for node in snapshot.of(Role.POSTGRES)]
    with understood(bench.directory):
        settled = Settled.restored(state.settled)
        caught_up(settled, replayed(bench.directory), max(newest))
    return Ledger(state.run, settled)


class LedgerKeeping:
    """Keeps one ledger.

    busy:  a fault is in place
    save:  writes the state
    lost:  hears of rows that were found to be lost
    """

    def __init__(
        self,
        ledger: Ledger,
        bench: Bench,
        directory: Path,
        writing: Writing,
        busy: Callable[[], bool],
        save: Callable[[], Awaitable[None]],
        lost: Callable[[Iterable[int]], None],
    ) -> None:
        self._ledger = ledger
        self._bench = bench
        self._writing = writing
        self._lost = lost
        self._log = LedgerLog(directory)
        self._log_whole = False
        self._settling = Settling(ledger, bench.database.ledger_rows(), bench.cluster, bench.clock, busy, save)

    async def append(self) -> None:
        """The ids that ended, to the log. After one that could not be written comes all there is, in a new file."""
        if not len(self._ledger):
            return
        ends = self._ledger.ended() if self._log_whole else self._ledger.everything()
        self._log_whole = await self._writing.tried("the ledger's log", lambda: self._log.append(ends))

    async def settle_every(self, seconds: float) -> None:
        """Settle so often, as soon as the cluster allows for it, until cancelled. 0: never."""
        clock, hub = self._bench.clock, self._bench.hub
        due_ns, told = clock.now() + to_ns(seconds), ""
        while True:
            await clock.sleep(1.0)
            self._settling.tick()
            if not seconds or clock.now() < due_ns:
                continue
            try:
                found = await self._settling.settle()
            except NotNow as reason:
                # Tried again at once: a cluster does not stay whole for long in a soak.
                if clock.now() > due_ns + to_ns(seconds) and told != str(reason):
                    told = str(reason)
                    hub.say(Kind.WARNING, text=f"the ledger has not been settled for long: {reason}")
                continue
            due_ns, told = clock.now() + to_ns(seconds), ""
            await self._settled(found)

    async def close(self) -> None:
        """Write the last of it."""
        await self.append()
        await self._writing.tried("the ledger's log", self._log.close)

    async def _settled(self, found: Settlement) -> None:
        if not found.rows and not found.gone:
            return  # no row was old enough
        self._lost(found.lost)
        self._bench.hub.say(
            Kind.LEDGER_SETTLED,
            upto=found.upto,
            rows=found.rows,
            lost=len(found.lost),
            recovered=found.recovered,
            unexpected=found.unexpected,
            gone=len(found.gone),
            held=self._ledger.held,
        )
        if self._log_whole:
            everything = self._ledger.everything()
            self._log_whole = await self._writing.tried("the ledger's log", lambda: self._log.begin_anew(everything))


def settled_report(ledger: Ledger) -> SettledReport:
    """Of the rows that are settled."""
    settled = ledger.settled
    return SettledReport(
        upto=settled.compared,
        rows=sum(rows for rows, _ in settled.checkpoints.values()),
        checkpoints=len(settled.checkpoints),
        gone=len(settled.gone),
        gone_rows=sum(settled.gone.values()),
        unlogged=len(ledger.found_unlogged | (settled.recovered & settled.unlogged)),
    )
