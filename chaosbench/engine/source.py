"""Where a stream's operations come from.

Open loop: a schedule says when each operation is *meant* to start. Whoever is
free takes it; else it waits in a bounded backlog; an arrival that finds the
backlog full, or waits past its deadline, is shed and counted with its age.
Closed loop: each client's next operation is meant to start when it is ready.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

from chaosbench.clock import NS, Clock
from chaosbench.engine import RunningWorkload
from chaosbench.outcome import Outcome
from chaosbench.recorder.recorder import Recorder
from chaosbench.recorder.tally import Tally


class Arrival(NamedTuple):
    """One operation to be done: when it was meant to start, which it is, where it is counted."""

    intended_ns: int
    operation: int
    tally: Tally


_arrival: Callable[[tuple[int, int, Tally]], Arrival] = partial(tuple.__new__, Arrival)
"""Makes an Arrival at half the price: without the constructor written in Python that a named tuple has."""


class Book:
    """Where a stream's operations are counted now; rebound when the warm-up ends."""

    def __init__(self, name: str, workload: RunningWorkload, recorder: Recorder) -> None:
        self._name = name
        self._workload = workload
        self.bind(recorder)

    def bind(self, recorder: Recorder) -> None:
        """Count in this recorder from now on. Operations under way stay in the one they began in."""
        self.recorder = recorder
        self.tallies = tuple(
            recorder.tally(self._name, operation.name, operation.op_class) for operation in self._workload.operations
        )


class Source:
    """What a worker asks for its next operation."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._backlog: deque[Arrival] = deque()
        self._closed = False
        self.handed = 0
        """Operations given to a worker that has not had its turn on the loop yet."""

    @property
    def backlog(self) -> int:
        """Operations that have arrived and wait for a connection."""
        return len(self._backlog)

    def ready(self) -> Arrival | None:
        """The next operation if it may begin at once; None when it must be waited for, or there will be none."""
        raise NotImplementedError

    async def take(self) -> Arrival | None:
        """The next operation, waiting for it if need be; None when there will be none."""
        raise NotImplementedError

    def give_back(self, arrival: Arrival) -> None:
        """Return an operation that was taken but not sent."""
        self._backlog.appendleft(arrival)

    def begin(self, at_ns: int | None = None) -> None:
        """The load begins now, a schedule at ``at_ns`` if that is given; nobody is given anything before."""
        raise NotImplementedError

    def dispatch(self, now_ns: int) -> None:
        """Hand out what is due. Called about every millisecond."""

    @property
    def due_ns(self) -> int:
        """When :meth:`dispatch` next has something to do."""
        return sys.maxsize

    def close(self) -> None:
        """No new operations from now on; those already waiting are still handed out."""
        self._closed = True

    def abandon(self, now_ns: int) -> None:
        """Nobody is left to serve what still waits: shed it."""
        while self._backlog:
            self._shed(self._backlog.popleft(), "end_of_run", now_ns)

    def _shed(self, arrival: Arrival, reason: str, now_ns: int) -> None:
        tally, intended_ns = arrival.tally, arrival.intended_ns
        self._book.recorder.bad(tally, Outcome.SHED, reason, intended_ns, None, now_ns)
        if tally.samples is not None:
            tally.samples.add(tally, Outcome.SHED, reason, (intended_ns, None, now_ns), None, attempts=0)


class ClosedSource(Source):
    """Clients in a circle: as many operations in flight as there are workers."""

    def __init__(self, book: Book, workload: RunningWorkload, rng: random.Random, clock: Clock, think: float) -> None:
        super().__init__(book)
        self._workload, self._rng = workload, rng
        self._clock, self._think = clock, think
        self._several = len(workload.operations) > 1
        self._begun = asyncio.Event()
        self._at_once = False

    def begin(self, at_ns: int | None = None) -> None:
        self._begun.set()
        self._at_once = not self._think

    def close(self) -> None:
        super().close()
        self._begun.set()

    def ready(self) -> Arrival | None:
        if self._backlog:
            return self._backlog.popleft()
        return self._next() if self._at_once and not self._closed else None

    async def take(self) -> Arrival | None:
        if not self._begun.is_set():
            await self._begun.wait()
        if (arrival := self.ready()) is not None:
            return arrival
        await self._clock.sleep(self._think)
        return None if self._closed else self._next()

    def _next(self) -> Arrival:
        operation = self._workload.pick(self._rng) if self._several else 0
        tally = self._book.tallies[operation]
        tally.attempted += 1
        return _arrival((self._clock.now(), operation, tally))


class OpenSource(Source):
    """An arrival schedule and its backlog."""

    def __init__(
        self,
        book: Book,
        workload: RunningWorkload,
        rng: random.Random,
        clock: Clock,
        times: Iterator[float],
        *,
        deadline_ns: int,
        limit: int,
    ) -> None:
        super().__init__(book)
        self._workload = workload
        self._rng = rng
        self._clock = clock
        self._times = times
        self._deadline_ns = deadline_ns
        self._limit = limit
        self._begin_ns = 0
        self._next_ns = sys.maxsize
        self._parked: deque[asyncio.Future[Arrival | None]] = deque()

    def begin(self, at_ns: int | None = None) -> None:
        self._begin_ns = self._clock.now() if at_ns is None else at_ns
        self._next_ns = self._stamp()

    @property
    def due_ns(self) -> int:
        if self._backlog:
            # The deadline of the oldest is kept as exactly as an arrival's time: it is when a window ends.
            return min(self._arrival_ns, self._backlog[0].intended_ns + self._deadline_ns + 1)
        return self._arrival_ns

    @property
    def _arrival_ns(self) -> int:
        return sys.maxsize if self._closed else self._next_ns

    def give_back(self, arrival: Arrival) -> None:
        if (waiter := self._unpark()) is not None:
            self._hand(waiter, arrival)
        else:
            super().give_back(arrival)

    def _stamp(self) -> int:
        return self._begin_ns + int(next(self._times) * NS)

    def ready(self) -> Arrival | None:
        if self._backlog:
            self._expire(self._clock.now())
        return self._backlog.popleft() if self._backlog else None

    async def take(self) -> Arrival | None:
        if (arrival := self.ready()) is not None:
            return arrival
        if self._closed:
            return None
        waiter: asyncio.Future[Arrival | None] = asyncio.get_running_loop().create_future()
        self._parked.append(waiter)
        try:
            arrival = await waiter
        except asyncio.CancelledError:
            # The arrival may have been handed over in the same turn of the loop: it must not vanish.
            if waiter.done() and not waiter.cancelled() and (arrival := waiter.result()) is not None:
                self.handed -= 1
                self.give_back(arrival)
            raise
        if arrival is not None:
            self.handed -= 1
        return arrival

    def dispatch(self, now_ns: int) -> None:
        while self._next_ns <= now_ns and not self._closed:
            self._arrive(self._next_ns, now_ns)
            self._next_ns = self._stamp()
        self._expire(now_ns)
        while self._backlog and (waiter := self._unpark()) is not None:
            self._hand(waiter, self._backlog.popleft())

    def close(self) -> None:
        super().close()
        if not self._backlog:
            while (waiter := self._unpark()) is not None:
                waiter.set_result(None)

    def _arrive(self, intended_ns: int, now_ns: int) -> None:
        operation = self._workload.pick(self._rng)
        tally = self._book.tallies[operation]
        tally.attempted += 1
        arrival = Arrival(intended_ns, operation, tally)
        if not self._backlog and (waiter := self._unpark()) is not None:
            self._hand(waiter, arrival)
        elif len(self._backlog) < self._limit:
            self._backlog.append(arrival)
        else:
            self._shed(arrival, "backlog_full", now_ns)

    def _hand(self, waiter: asyncio.Future[Arrival | None], arrival: Arrival) -> None:
        self.handed += 1
        waiter.set_result(arrival)

    def _unpark(self) -> asyncio.Future[Arrival | None] | None:
        while self._parked:
            waiter = self._parked.popleft()
            if not waiter.done():
                return waiter
        return None

    def _expire(self, now_ns: int) -> None:
        while self._backlog and now_ns - self._backlog[0].intended_ns > self._deadline_ns:
            self._shed(self._backlog.popleft(), "deadline", now_ns)
