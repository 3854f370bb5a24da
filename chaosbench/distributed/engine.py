"""The load as a scenario drives it, carried by workers: begun, turned, drained; faults and observers stay here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from chaosbench.clock import NS, Clock, to_ns, to_s
from chaosbench.distributed.folding import Folding
from chaosbench.distributed.members import QUESTIONS_PER_S, SILENCE_S, Crew, Link, Member, period
from chaosbench.distributed.wire import Begin, Plan, Stop, Turn
from chaosbench.errors import ClusterUnavailable, PreflightError
from chaosbench.ledger import Ledger
from chaosbench.model.workers import WorkerReport
from chaosbench.recorder.recorder import Recorder
from chaosbench.share import Share
from chaosbench.staleness import Registers

LEAD_S = 0.3
"""Orders with a time are given at least so long before it: more than an exchange takes; longer to many workers."""
FOLD_S = 0.05
ADVANCE_NS = 100_000_000
EXCHANGES = 8
"""Exchanges with each worker before the load begins: the shortest tells the clock's offset."""

Planned = Callable[[Share], Plan]
OnLost = Callable[[int, str, str, int], None]
"""Told of a lost worker: number, address, why, operations of the measurement that were in flight."""


class RemoteEngine:
    """To be used like :class:`chaosbench.engine.engine.Engine`, with :meth:`turn` before ``record_in``.

    workers:  connections that the load holds open, on all workers together (``connections``: of each stream)
    shareable:  how many workers there can be at most, for want of what
    patience: how long the engine of one worker may take to end, in seconds
    broken:   set when the load cannot go on: no worker is left, or one is lost and ``needs_all``
    """

    def __init__(
        self,
        recorder: Recorder,
        clock: Clock,
        crew: Crew,
        planned: Planned,
        *,
        connections: Sequence[int],
        shareable: tuple[int, str],
        ledger: Ledger,
        registers: Registers,
        patience: float,
        on_lag: Callable[[int], None],
        on_lost: OnLost,
        needs_all: bool = False,
    ) -> None:
        self.recorder = recorder
        self.workers = sum(connections)
        self.broken = asyncio.Event()
        self._clock = clock
        self._crew = crew
        self._planned = planned
        self._connections = connections
        self._shareable = shareable
        self._patience = patience
        self._on_lag = on_lag
        self._on_lost = on_lost
        self._needs_all = needs_all
        self._folding = Folding(recorder, ledger, registers)
        self._members: list[Member] = []
        self._late_said_ns = 0

    @property
    def backlog(self) -> int:
        """Arrivals that wait for a connection, as last told."""
        return sum(one.last.backlog for one in self._members if one.last is not None and one.lost is None)

    def connected_count(self) -> int:
        """Clients that have a connection, as last told."""
        return sum(one.last.connected for one in self._members if one.last is not None and one.lost is None)

    async def connected(self) -> None:
        """Wait until every client has a connection. ClusterUnavailable when a worker is lost meanwhile."""
        while self.connected_count() < self.workers:
            for one in self._members:
                if one.lost is not None:
                    raise ClusterUnavailable(f"worker {one.index} ({one.link.address}) was lost: {one.lost.why}")
            await self._clock.sleep(0.02)

    def begin(self) -> None:
        """Let the load begin, on all workers at the same time."""
        at_ns = self._clock.now() + to_ns(self._lead_s)
        for one in self._members:
            one.order(Begin(self._theirs(one, at_ns)))

    async def turn(self) -> None:
        """Let every worker count anew from one time on; returns at that time."""
        at_ns = self._clock.now() + to_ns(self._lead_s)
        for one in self._members:
            one.order(Turn(self._theirs(one, at_ns)))
        await self._clock.sleep_until(at_ns)

    @property
    def _lead_s(self) -> float:
        return LEAD_S + len(self._members) / QUESTIONS_PER_S

    def record_in(self, recorder: Recorder) -> None:
        """Count in this recorder what the workers count anew."""
        self.recorder = recorder
        self._folding.record_in(recorder)

    def report(self) -> tuple[WorkerReport, ...]:
        """What became of each worker, for the summary."""
        return tuple(self._report(one) for one in self._members)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the load while the body runs; then drain it, however the body ended."""
        failure: Exception | None = None
        async with self._crew.links() as links:
            await self._start(links)
            async with asyncio.TaskGroup() as group:
                folding = group.create_task(self._fold())
                serving = [group.create_task(self._serve(one)) for one in self._members]
                try:
                    yield
                except Exception as error:  # raised below: a task group would wrap it
                    failure = error
                finally:
                    await self._drain(serving)
                    folding.cancel()
            await self._folding.fold()
        if failure is not None:
            raise failure

    async def _start(self, links: Sequence[Link]) -> None:
        shares = [Share(index, len(links)) for index in range(len(links))]
        most, what = self._shareable
        if len(links) > most:
            raise PreflightError(f"{len(links)} workers cannot share {what}: write 'workers: {most}', or more of these")
        self._members = [Member(share, link, self._clock) for share, link in zip(shares, links, strict=True)]
        for one in self._members:
            self._folding.join(one.index, one.share)
        try:
            async with asyncio.TaskGroup() as group:
                for one in self._members:
                    group.create_task(self._greet(one))
        except* (OSError, TimeoutError) as errors:
            raise ClusterUnavailable(f"a worker did not begin: {errors.exceptions[0]}") from None

    async def _greet(self, member: Member) -> None:
        await member.link.start(self._planned(member.share))
        for _ in range(EXCHANGES):
            await self._exchange(member)
        if member.last is None or member.lost is not None:
            why = member.lost.why if member.lost else "no answer"
            raise TimeoutError(f"{member.link.address}: {why}")

    async def _serve(self, member: Member) -> None:
        """Ask until it has ended or is lost."""
        seconds = period(len(self._members))
        while not member.over:
            await member.pause(seconds)
            await self._exchange(member)
        if member.lost is not None:
            self._gone(member)
        if member.ended:
            await member.part()

    async def _exchange(self, member: Member) -> None:
        answer = await member.ask()
        if answer is None:
            return
        now_ns = self._clock.now()
        offset = member.offset = member.alignment.at(now_ns)
        doubt_ns = offset.uncertainty_ns + max(
            one.alignment.worst_ns for one in self._members if one is not member or len(self._members) == 1
        )
        self._folding.take(member.index, answer, offset, doubt_ns)
        if answer.worst_late_ns:
            self._say_late(answer.worst_late_ns, now_ns)

    def _gone(self, member: Member) -> None:
        assert member.lost is not None
        member.in_flight_when_lost = self._folding.lost(member.index, member.lost.at_ns)
        self._on_lost(member.index, member.link.address, member.lost.why, member.in_flight_when_lost)
        if self._needs_all or all(one.lost is not None for one in self._members):
            self.broken.set()

    async def _fold(self) -> None:
        """Fold in what is known of everybody, and notice when this loop was late itself."""
        advanced_ns = self._clock.now()
        while True:
            planned_ns = self._clock.now() + to_ns(FOLD_S)
            await self._clock.sleep(FOLD_S)
            now_ns = self._clock.now()
            if now_ns > planned_ns and self._folding.late(now_ns - planned_ns):
                self._say_late(now_ns - planned_ns, now_ns)
            await self._folding.fold()
            if now_ns - advanced_ns >= ADVANCE_NS:
                advanced_ns = now_ns
                self.recorder.backlog = self.backlog
                self.recorder.advance(min(now_ns, self._folding.watermark_ns))

    async def _drain(self, serving: list[asyncio.Task[None]]) -> None:
        """No new arrivals; every worker ends and tells the rest, in bounded time."""
        for one in self._members:
            one.order(Stop())
        _, late = await asyncio.wait(serving, timeout=self._patience + 2 * SILENCE_S)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    def _say_late(self, late_ns: int, now_ns: int) -> None:
        if now_ns - self._late_said_ns >= NS:
            self._late_said_ns = now_ns
            self._on_lag(late_ns)

    def _theirs(self, member: Member, at_ns: int) -> int:
        return member.alignment.at(self._clock.now()).theirs(at_ns)

    def _report(self, member: Member) -> WorkerReport:
        offset = member.offset
        lost = member.lost
        return WorkerReport(
            worker=member.index,
            address=member.link.address,
            connections=sum(len(member.share.of(total)) for total in self._connections),
            attempted=self._folding.attempted(member.index),
            cpu_s=round(member.last.cpu_s, 3) if member.last else 0.0,
            clock_offset_s=to_s(offset.offset_ns),
            clock_uncertainty_ms=round(member.alignment.worst_ns / 1e6, 3),
            lost_at_s=to_s(lost.at_ns - self.recorder.started_ns) if lost else None,
            lost_why=lost.why if lost else None,
            in_flight_when_lost=member.in_flight_when_lost,
        )
