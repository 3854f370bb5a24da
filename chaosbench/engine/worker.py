"""One connection's life: connect, take an operation, run it, record it, and again."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from chaosbench.clock import Clock
from chaosbench.engine import Attempt, RunningWorkload, Session
from chaosbench.engine.session import DRIVER_ERRORS, Connect, reason_of, sqlstate_of
from chaosbench.engine.source import Arrival, Book, Source
from chaosbench.outcome import OpClass, Outcome, settle, spoils_session
from chaosbench.recorder.recorder import Recorder
from chaosbench.recorder.tally import Tally

BACKOFF_FIRST = 0.05
BACKOFF_CAP = 1.0
"""Seconds. Full jitter: each pause is uniform between 0 and min(cap, first x 2^n)."""


@dataclass(frozen=True, slots=True)
class Supply:
    """What every worker of a stream shares."""

    name: str
    workload: RunningWorkload
    source: Source
    book: Book
    connect: Connect
    connect_timeout: float
    connecting: asyncio.Semaphore
    stopping: Callable[[], bool]
    clock: Clock


class Worker:
    """Serves one stream over one connection, made anew whenever it breaks.

    ``sent_ns`` is the time at which the operation under way was sent, 0 when
    there is none: the engine's watchdog reads it and calls :meth:`expire`.
    ``number`` is the worker's own among all of the engine.
    """

    __slots__ = (
        "_again",
        "_attempt",
        "_connection",
        "_expired",
        "_rng",
        "_session",
        "_supply",
        "_tried_ns",
        "number",
        "sent_ns",
    )

    def __init__(self, supply: Supply, rng: random.Random, number: int = 0) -> None:
        self._supply = supply
        self.number = number
        self._rng = rng
        self._connection: Any = None
        self._session: Session | None = None
        self._attempt = Attempt()
        self._again: Arrival | None = None
        self._expired = False
        self._tried_ns = 0
        self.sent_ns = 0

    @property
    def connected(self) -> bool:
        """Whether there is a connection that is believed to work."""
        return self._session is not None

    @property
    def busy(self) -> bool:
        """Whether it has an operation: under way, or about to be tried again."""
        return self.sent_ns != 0 or self._again is not None

    async def run(self) -> None:
        """Serve until the source is exhausted. Ends by itself; cancelling it loses no operation."""
        try:
            while await self._reconnect() and await self._serve():
                pass
        finally:
            if self._again is not None:
                self._give_up(self._again, "end_of_run")
            self._drop()

    def expire(self) -> None:
        """The operation under way has taken too long: break its connection, which ends it.

        No cancel request is sent: that would open one more connection for each
        time-out, in the very moment when the server has trouble.
        """
        self._expired = True
        self._connection.terminate()

    async def _serve(self) -> bool:
        """One operation after another while the connection lasts; False when the source is exhausted.

        The hot path: what does not change while the connection lasts has a
        local name, and what ends well is recorded right here.
        """
        source, now, attempt, session = self._supply.source, self._supply.clock.now, self._attempt, self._session
        assert session is not None
        ready, run, is_closed = source.ready, session.run, self._connection.is_closed
        while self._session is not None:
            arrival = self._again or ready() or await source.take()
            if arrival is None:
                return False
            if is_closed():
                # Nothing was sent: somebody else may have it, or this worker once it is connected.
                if self._again is None:
                    source.give_back(arrival)
                self._drop()
                break
            if self._again is None:
                attempt.number = 1
                attempt.row = 0
            self._again = None
            intended_ns, operation, tally = arrival
            attempt.effect_sent = False
            self.sent_ns = sent_ns = now()
            try:
                await run(operation, attempt)
            except DRIVER_ERRORS as error:
                self._ended_badly(arrival, sent_ns, error)
                await self._roll_back()
            except asyncio.CancelledError:
                self._record_bad(arrival, sent_ns, self._without_answer(), "cancelled")
                self._drop()
                raise
            else:
                done_ns = now()
                tally.track.note(tally, intended_ns, sent_ns, done_ns)
                if tally.samples is not None:
                    self._sample(arrival, Outcome.OK, "", sent_ns, done_ns)
            finally:
                self.sent_ns = 0
        return True

    def _ended_badly(self, arrival: Arrival, sent_ns: int, error: BaseException) -> None:
        state = None if self._expired else sqlstate_of(error)
        reason = "timeout" if self._expired else reason_of(error)
        attempt = self._attempt
        outcome = settle(state, effect_sent=attempt.effect_sent, attempt=attempt.number)
        if self._expired or spoils_session(state):
            self._drop()
        if outcome is Outcome.UNKNOWN and attempt.row and attempt.number <= self._supply.workload.retries:
            attempt.number += 1
            self._again, self._tried_ns = arrival, sent_ns
        elif outcome is Outcome.OK:
            if attempt.row:
                self._supply.workload.settle(attempt.row, outcome)
            self._record_ok(arrival, sent_ns)
        else:
            self._record_bad(arrival, sent_ns, outcome, reason)

    async def _roll_back(self) -> None:
        """Leave a failed transaction, so that the next operation finds the session clean."""
        if self._connection is None or not self._connection.is_in_transaction():
            return
        self.sent_ns = self._supply.clock.now()  # the watchdog guards this one too
        try:
            await self._connection.execute("ROLLBACK")
        except DRIVER_ERRORS:
            self._drop()

    def _record_ok(self, arrival: Arrival, sent_ns: int) -> None:
        tally, done_ns = arrival.tally, self._supply.clock.now()
        tally.record_ok(arrival.intended_ns, sent_ns, done_ns)
        if tally.samples is not None:
            self._sample(arrival, Outcome.OK, "", sent_ns, done_ns)

    def _record_bad(self, arrival: Arrival, sent_ns: int, outcome: Outcome, reason: str) -> None:
        if self._attempt.row:
            self._supply.workload.settle(self._attempt.row, outcome)
        tally, done_ns = arrival.tally, self._supply.clock.now()
        self._supply.book.recorder.bad(tally, outcome, reason, arrival.intended_ns, sent_ns, done_ns)
        if tally.samples is not None:
            self._sample(arrival, outcome, reason, sent_ns, done_ns)

    def _sample(self, arrival: Arrival, outcome: Outcome, reason: str, sent_ns: int, done_ns: int) -> None:
        tally, attempt = arrival.tally, self._attempt
        assert tally.samples is not None
        # Only an acknowledgement says who gave it; what is in the attempt otherwise is an earlier operation's.
        node = attempt.node if outcome is Outcome.OK else None
        times = (arrival.intended_ns, sent_ns, done_ns)
        tally.samples.add(tally, outcome, reason, times, self.number, attempt.number, attempt.row, node)

    def _give_up(self, arrival: Arrival, reason: str) -> None:
        """A retry that never got its turn: the attempt before it stays unknown."""
        self._again = None
        self._attempt.number -= 1
        self._record_bad(arrival, self._tried_ns, Outcome.UNKNOWN, reason)

    def _without_answer(self) -> Outcome:
        return settle(None, effect_sent=self._attempt.effect_sent, attempt=self._attempt.number)

    async def _reconnect(self) -> bool:
        """Connect, trying until it works; False if the run ends first."""
        self._drop()
        tries = 0
        while not self._supply.stopping():
            if await self._connect_once():
                return True
            pause = self._rng.uniform(0, min(BACKOFF_CAP, BACKOFF_FIRST * 2**tries))
            tries = min(tries + 1, 16)
            await self._supply.clock.sleep(pause)
        return False

    async def _connect_once(self) -> bool:
        supply = self._supply
        recorder = supply.book.recorder
        tally: Tally = recorder.tally(supply.name, "connect", OpClass.CONNECT)
        wanted_ns = supply.clock.now()
        tally.attempted += 1
        sent_ns: int | None = None
        try:
            async with supply.connecting:
                sent_ns = supply.clock.now()
                async with asyncio.timeout(supply.connect_timeout):
                    self._connection = await supply.connect(supply.connect_timeout)
                    self._session = await supply.workload.open(self._connection, self._rng)
        except DRIVER_ERRORS as error:
            self._drop()
            self._connect_failed(recorder, tally, reason_of(error), wanted_ns, sent_ns)
            return False
        except asyncio.CancelledError:
            self._drop()
            self._connect_failed(recorder, tally, "cancelled", wanted_ns, sent_ns)
            raise
        done_ns = supply.clock.now()
        tally.record_ok(wanted_ns, sent_ns, done_ns)
        if tally.samples is not None:
            tally.samples.add(tally, Outcome.OK, "", (wanted_ns, sent_ns, done_ns), self.number)
        self._expired = False
        return True

    def _connect_failed(
        self, recorder: Recorder, tally: Tally, reason: str, wanted_ns: int, sent_ns: int | None
    ) -> None:
        done_ns = self._supply.clock.now()
        recorder.bad(tally, Outcome.FAILED, reason, wanted_ns, sent_ns, done_ns)
        if tally.samples is not None:
            tally.samples.add(tally, Outcome.FAILED, reason, (wanted_ns, sent_ns, done_ns), self.number)

    def _drop(self) -> None:
        connection, self._connection, self._session = self._connection, None, None
        if connection is not None and not connection.is_closed():
            connection.terminate()
