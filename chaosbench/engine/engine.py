"""All workers of a scenario on one loop: started together, timed, drained, never left hanging."""

from __future__ import annotations

import asyncio
import gc
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from chaosbench import arrivals
from chaosbench.clock import NS, Clock, to_ns
from chaosbench.engine import RunningWorkload
from chaosbench.engine.session import Connect
from chaosbench.engine.source import Book, ClosedSource, OpenSource, Source
from chaosbench.engine.worker import Supply, Worker
from chaosbench.model.scenario import StreamSettings
from chaosbench.recorder.recorder import Recorder
from chaosbench.share import WHOLE, Share

TICK = 0.001
TICK_IDLE = 0.01
"""Seconds between two looks at the arrival schedule: at least, and at most (to notice a late loop)."""
ADVANCE_NS = 100_000_000
CONNECTS_AT_ONCE = 50
"""A new connection costs over a millisecond of CPU on each side; more at once only slows all of them."""


@dataclass(frozen=True, slots=True)
class RunningStream:
    """One stream while it runs."""

    settings: StreamSettings
    book: Book
    source: Source
    workers: tuple[Worker, ...]


class Engine:
    """Runs the load of one scenario, or one share of it; settings and numbers are always those of the whole.

    ::

        async with engine.running():        # workers connect
            await engine.connected()        # every worker has its first connection
            engine.begin()                  # operations arrive: the warm-up
            engine.record_in(recorder)      # warm-up over: count from here on
            ...
        # left: no new arrivals; what is under way ends or times out; connections closed
    """

    def __init__(
        self, recorder: Recorder, clock: Clock, seed: str, on_lag: Callable[[int], None], share: Share = WHOLE
    ) -> None:
        self.recorder = recorder
        self._share = share
        self._numbered = 0
        self._clock = clock
        self._seed = seed
        self._on_lag = on_lag
        self._streams: list[RunningStream] = []
        self._connecting = asyncio.Semaphore(max(1, CONNECTS_AT_ONCE // share.count))
        self._stopping = False
        self._worst_late_ns = 0
        self._late_said_ns = 0

    def add(self, name: str, settings: StreamSettings, workload: RunningWorkload, connect: Connect) -> None:
        """Add one stream of load; call before :meth:`running`."""
        book = Book(name, workload, self.recorder)
        source = self._source(name, settings, workload, book)
        supply = Supply(
            name=name,
            workload=workload,
            source=source,
            book=book,
            connect=connect,
            connect_timeout=settings.connect_timeout,
            connecting=self._connecting,
            stopping=lambda: self._stopping,
            clock=self._clock,
        )
        numbers = self._share.of(settings.workers)
        workers = tuple(Worker(supply, self._rng(name, n), self._numbered + n) for n in numbers)
        self._numbered += settings.workers
        self._streams.append(RunningStream(settings, book, source, workers))

    def _rng(self, *parts: object) -> random.Random:
        """A generator of its own for each part, so that adding a worker changes no other's choices."""
        return random.Random("/".join(map(str, (self._seed, *parts))))  # noqa: S311 - not for secrets

    def _source(self, name: str, settings: StreamSettings, workload: RunningWorkload, book: Book) -> Source:
        rng = self._rng(name, "operations", *self._share.seed)
        if settings.rate is None:
            return ClosedSource(book, workload, rng, self._clock, settings.think)
        return OpenSource(
            book,
            workload,
            rng,
            self._clock,
            self._arrival_times(name, settings, settings.rate),
            deadline_ns=to_ns(settings.deadline),
            limit=len(self._share.of(settings.backlog)),
        )

    def _arrival_times(self, name: str, settings: StreamSettings, rate: float) -> Iterator[float]:
        schedule = arrivals.segments(rate, tuple((stage.over, stage.to) for stage in settings.stages))
        if settings.arrivals == "poisson":
            return arrivals.poisson(schedule, self._rng(name, "arrivals", *self._share.seed), self._share)
        return arrivals.constant(schedule, self._share)

    @property
    def workers(self) -> int:
        """Connections that the load holds open."""
        return sum(len(stream.workers) for stream in self._streams)

    @property
    def backlog(self) -> int:
        """Arrivals that wait for a connection."""
        return sum(stream.source.backlog for stream in self._streams)

    @property
    def in_flight(self) -> int:
        """Operations attempted and not ended, counted here and not derived from the tallies."""
        return sum(
            stream.source.backlog + stream.source.handed + sum(worker.busy for worker in stream.workers)
            for stream in self._streams
        )

    def record_in(self, recorder: Recorder) -> None:
        """Count operations that begin from now on in this recorder."""
        self.recorder = recorder
        for stream in self._streams:
            stream.book.bind(recorder)

    def begin(self, at_ns: int | None = None) -> None:
        """Let the load begin; until now the workers only connect. Schedules count from ``at_ns`` (from now)."""
        if gc.get_freeze_count():  # under without_gc_pauses: the connections, made since, are to be kept out as well
            gc.collect()
            gc.freeze()
        for stream in self._streams:
            stream.source.begin(at_ns)

    async def connected(self) -> None:
        """Wait until every worker has a connection. The caller sets the time limit."""
        while not all(worker.connected for stream in self._streams for worker in stream.workers):
            await self._clock.sleep(0.01)

    def connected_count(self) -> int:
        """Workers that have a connection now."""
        return sum(worker.connected for stream in self._streams for worker in stream.workers)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the load while the body runs; then drain it, however the body ended."""
        failure: Exception | None = None
        async with asyncio.TaskGroup() as background:
            ticking = background.create_task(self._tick())
            watching = [background.create_task(self._watch(stream)) for stream in self._streams]
            try:
                async with asyncio.TaskGroup() as serving:
                    tasks = [serving.create_task(worker.run()) for s in self._streams for worker in s.workers]
                    try:
                        yield
                    except Exception as error:  # raised below: a task group would wrap it
                        failure = error
                    finally:
                        await self._drain(tasks)
            finally:
                for task in (ticking, *watching):
                    task.cancel()
        if failure is not None:
            raise failure

    async def _drain(self, tasks: list[asyncio.Task[None]]) -> None:
        """No new arrivals; everything under way ends, in bounded time."""
        for stream in self._streams:
            stream.source.close()
        self._stopping = True
        patience = max(s.settings.timeout + s.settings.deadline + s.settings.connect_timeout for s in self._streams)
        _, late = await asyncio.wait(tasks, timeout=patience + 1.0)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        for stream in self._streams:
            stream.source.abandon(self._clock.now())

    async def _tick(self) -> None:
        """Hand out arrivals when they are due, to the millisecond, and notice when the loop was late."""
        now, sleep = self._clock.now, self._clock.sleep
        sources = [stream.source for stream in self._streams]
        advanced_ns = now()
        while True:
            began_ns = now()
            due_s = (min(source.due_ns for source in sources) - began_ns) / NS
            pause = max(TICK, min(TICK_IDLE, due_s))
            planned_ns = began_ns + to_ns(pause)
            await sleep(pause)
            now_ns = now()
            if now_ns > planned_ns:
                self._late(now_ns - planned_ns, now_ns)
            for source in sources:
                source.dispatch(now_ns)
            if now_ns - advanced_ns >= ADVANCE_NS:
                advanced_ns = now_ns
                self.recorder.backlog = self.backlog
                self.recorder.advance()

    def _late(self, late_ns: int, now_ns: int) -> None:
        if self.recorder.lag.record(late_ns):
            self._worst_late_ns = max(self._worst_late_ns, late_ns)
        if self._worst_late_ns and now_ns - self._late_said_ns >= NS:
            # At most one a second: a machine that is late once is late often.
            self._on_lag(self._worst_late_ns)
            self._worst_late_ns = 0
            self._late_said_ns = now_ns

    async def _watch(self, stream: RunningStream) -> None:
        """End the operations that have taken longer than the stream's timeout.

        One look finds the oldest operation; nothing sent later can expire
        before it, so the next look is due only then. The hot path pays nothing.
        """
        timeout_ns = to_ns(stream.settings.timeout)
        while True:
            now_ns = self._clock.now()
            oldest_ns = now_ns
            for worker in stream.workers:
                sent_ns = worker.sent_ns
                if not sent_ns:
                    continue
                if now_ns - sent_ns >= timeout_ns:
                    worker.expire()
                elif sent_ns < oldest_ns:
                    oldest_ns = sent_ns
            await self._clock.sleep_until(oldest_ns + timeout_ns)


@asynccontextmanager
async def without_gc_pauses() -> AsyncIterator[None]:
    """Keep what exists now out of the garbage collector's full passes, which hold the loop for 13-53 ms."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
