"""The ledger settled while the load runs: rows compared with every node, kept as a checkpoint, deleted.

1.  Only on a whole cluster without a fault in place, and only rows that ended a minute ago.
2.  Every node must have replayed what the leader had; each must still have every earlier checkpoint.
3.  Rows are compared a few thousand at a time. Nothing is kept of that if the cluster changes meanwhile.
4.  A checkpoint stands for the rows that are on every node. It is written, and waited for on every node.
5.  What was found is kept for good, on disk first. Only then the rows go, in small batches; what turns up among them
    that nobody knew of is counted as well. A batch that is lost by a failover is deleted again the next time.

So a row that was settled can be missing later only if its checkpoint is, and that is looked at every time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from pyroaring import BitMap64

from chaosbench.clock import Clock, to_ns
from chaosbench.cluster import Cluster
from chaosbench.errors import ClusterUnavailable
from chaosbench.ledger import Ledger
from chaosbench.model.cluster import Member, Role, Snapshot
from chaosbench.postgres import QueryError
from chaosbench.scenarios.ledger_rows import LedgerRows
from chaosbench.settled import Checkpoint, Found, ids_of

AGE_S = 60.0
"""Rows must have ended so long ago: what is unknown then has had its time to take effect."""
CHUNK = 5000
"""Ids compared at a time."""
BATCH = 2000
"""Rows deleted at a time, with a pause of ``PAUSE_S`` after each."""
PAUSE_S = 0.05
REPLAY_S = 20.0
HELD_MOST = 2_000_000
"""Rows that are held one by one while nothing can be settled; older ones are held as sets, without when and where."""


class NotNow(Exception):
    """Why nothing is settled this time."""


@dataclass(frozen=True, slots=True)
class Settlement:
    """What one came to; ids, by when they were acknowledged where that is known. ``gone``: numbers of checkpoints."""

    rows: int
    upto: int
    lost: tuple[int, ...]
    recovered: int
    unexpected: int
    gone: tuple[int, ...]


class Settling:
    """Settles one ledger. :meth:`tick` once a second, :meth:`settle` now and then.

    busy:  a fault is in place, or about to be
    save:  puts all that must survive a kill on disk
    """

    def __init__(
        self,
        ledger: Ledger,
        rows: LedgerRows,
        cluster: Cluster,
        clock: Clock,
        busy: Callable[[], bool],
        save: Callable[[], Awaitable[None]],
    ) -> None:
        self._ledger = ledger
        self._rows = rows
        self._cluster = cluster
        self._clock = clock
        self._busy = busy
        self._save = save
        self._marks: deque[tuple[int, int]] = deque(maxlen=7200)

    def tick(self) -> None:
        """Remember which id is the newest now; hold no more rows one by one than there is memory for."""
        self._marks.append((self._clock.now(), self._ledger.newest))
        if self._ledger.held > HELD_MOST:
            self._ledger.fold(self._ledger.all_ended(self._ledger.newest - HELD_MOST // 2))

    async def settle(self) -> Settlement:
        """Once; see the module's docstring. Raises :class:`NotNow`."""
        ledger, settled = self._ledger, self._ledger.settled
        try:
            snapshot, nodes, leader = await self._whole()
            gone = await self._look_at_checkpoints(snapshot, nodes)
            upto = self._old_enough()
            lost: tuple[int, ...] = ()
            before = len(settled.recovered), len(settled.unexpected)
            rows = 0
            if upto > settled.compared:
                found = await self._compare(nodes, upto)
                checkpoint = _checkpoint(found, max(settled.checkpoints, default=0) + 1)
                await self._keep(checkpoint, leader, snapshot)
                lost = tuple(row for each in found for row in each.lost)
                ledger.remember(lost)
                ledger.fold(upto)
                settled.settle(found)
                settled.keep(checkpoint)
                rows = checkpoint.rows
                await self._save()
            try:
                await self._drop(leader)
                await self._tidy(leader)
            except (NotNow, QueryError, ClusterUnavailable):
                if not rows and not gone:
                    raise  # there is nothing to tell; what is left is deleted the next time
        except (QueryError, ClusterUnavailable) as error:
            raise NotNow(str(error)) from None
        after = len(settled.recovered), len(settled.unexpected)
        return Settlement(rows, settled.compared, lost, after[0] - before[0], after[1] - before[1], gone)

    def _old_enough(self) -> int:
        """The newest row that ended long enough ago, as did all before it."""
        limit_ns = self._clock.now() - to_ns(AGE_S)
        old = [newest for at_ns, newest in self._marks if at_ns <= limit_ns]
        return max(self._ledger.settled.compared, self._ledger.all_ended(old[-1]) if old else 0)

    async def _whole(self) -> tuple[Snapshot, tuple[Member, ...], Member]:
        if self._busy():
            raise NotNow("a fault is in place")
        snapshot = await self._cluster.snapshot()
        problems, leader = snapshot.problems(), snapshot.leader
        if problems or leader is None:
            raise NotNow(f"the cluster is not whole: {(*problems, 'nobody leads')[0]}")
        return snapshot, tuple(snapshot.of(Role.POSTGRES)), leader

    async def _look_at_checkpoints(self, snapshot: Snapshot, nodes: tuple[Member, ...]) -> tuple[int, ...]:
        """Whether every node has every checkpoint; the numbers of those that one lacks now for the first time."""
        settled = self._ledger.settled
        known = set(settled.gone)
        await self._replayed(snapshot, nodes)
        for node in nodes:
            settled.missing(await self._rows.checkpoints(node, self._ledger.run))
        return tuple(sorted(set(settled.gone) - known))

    async def _replayed(self, snapshot: Snapshot, nodes: tuple[Member, ...]) -> None:
        behind = {node.name for node in nodes} - await self._rows.replayed(snapshot, REPLAY_S)
        if behind:
            raise NotNow(f"{', '.join(sorted(behind))} did not replay everything within {REPLAY_S:g} s")

    async def _compare(self, nodes: tuple[Member, ...], upto: int) -> list[Found]:
        """Every row that is to be settled, on every node."""
        ledger, found = self._ledger, []
        for after in range(ledger.settled.compared, upto, CHUNK):
            last = min(after + CHUNK, upto)
            self._undisturbed()
            held = [ids_of(await self._rows.runs(node, ledger.run, after, last)) for node in nodes]
            found.append(ledger.compared(after, last, held))
        return found

    async def _keep(self, checkpoint: Checkpoint, leader: Member, snapshot: Snapshot) -> None:
        """Write it, and see it on every node of a cluster that is the same as before the comparison."""
        after, nodes, _ = await self._whole()
        if after.leader is None or after.leader.name != leader.name:
            raise NotNow("the leader changed meanwhile")
        await self._rows.keep(leader, self._ledger.run, checkpoint)
        await self._replayed(snapshot, nodes)
        for node in nodes:
            there = {each.number: each.checksum for each in await self._rows.checkpoints(node, self._ledger.run)}
            if there.get(checkpoint.number) != checkpoint.checksum:
                raise NotNow(f"{node.name} does not have the new checkpoint")

    async def _drop(self, leader: Member) -> None:
        """Delete the rows that checkpoints stand for."""
        ledger = self._ledger
        while True:
            self._undisturbed()
            runs = await self._rows.drop(leader, ledger.run, ledger.settled.compared, BATCH)
            if not runs:
                return
            if ledger.settled.turned_up(ids_of(runs)):
                await self._save()
            await self._clock.sleep(PAUSE_S)

    async def _tidy(self, leader: Member) -> None:
        """The canary writes 200 rows a second while it looks often: a week of that is millions."""
        try:
            while await self._rows.tidy(leader, BATCH):
                self._undisturbed()
                await self._clock.sleep(PAUSE_S)
        except QueryError:
            return  # there may be no canary; and what is left now goes the next time

    def _undisturbed(self) -> None:
        if self._busy():
            raise NotNow("a fault came meanwhile")


def _checkpoint(found: list[Found], number: int) -> Checkpoint:
    everywhere = BitMap64()
    for each in found:
        everywhere |= each.everywhere
    return Checkpoint.of(number, found[0].after, found[-1].upto, everywhere)
