"""One worker as the coordinator knows it: asked again and again, until it has ended or is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from chaosbench.clock import Clock, to_ns
from chaosbench.distributed.offset import Alignment, Offset
from chaosbench.distributed.wire import FIRST, Answer, Order, Plan, Question
from chaosbench.share import Share

PERIOD_S = 0.1
"""How often a worker is asked, when there are few of them."""
QUESTIONS_PER_S = 500
"""... and how many questions a second are put to all of them at most."""
ANSWER_S = 2.0
SILENCE_S = 10.0
"""How long one answer may take; and after how long without any a worker is given up."""


class Link(Protocol):
    """The way to one worker process."""

    @property
    def address(self) -> str:
        """How the worker is called."""
        ...

    async def start(self, plan: Plan) -> None:
        """Let it begin with its share. OSError or TimeoutError when it cannot be reached."""
        ...

    async def ask(self, question: Question) -> Answer:
        """One exchange. OSError or TimeoutError when nothing came back."""
        ...

    async def gone(self) -> str | None:
        """Why the process is known to be gone; None as long as nobody knows of it."""
        ...


class Crew(Protocol):
    """Where workers come from."""

    def links(self) -> AbstractAsyncContextManager[Sequence[Link]]:
        """The workers, for the length of the block. UndeterminedError when they cannot be had."""
        ...


@dataclass(frozen=True, slots=True)
class Lost:
    """A worker that is gone: when, and why as far as is known."""

    at_ns: int
    why: str


class Member:
    """Asks one worker; keeps its clock's offset and what it last said.

    offset:   of its clock, when it was last heard
    lost:     set when it is given up
    ended:    it has told everything
    """

    def __init__(self, share: Share, link: Link, clock: Clock) -> None:
        self.index = share.index
        self.share = share
        self.link = link
        self.alignment = Alignment()
        self.offset = Offset(0, 0)
        self.lost: Lost | None = None
        self.in_flight_when_lost = 0
        self.ended = False
        self.last: Answer | None = None
        self._clock = clock
        self._orders: list[Order] = []
        self._ring = asyncio.Event()
        self._question = Question(FIRST)
        self._repeated = False
        self._heard_ns = clock.now()

    @property
    def over(self) -> bool:
        """Whether nothing more is to come."""
        return self.ended or self.lost is not None

    def order(self, order: Order) -> None:
        """Tell it so at once. Stamps in orders are the worker's."""
        self._orders.append(order)
        self._ring.set()

    async def pause(self, seconds: float) -> None:
        """Wait until the next question is due, or there is an order to give."""
        try:
            async with asyncio.timeout(seconds):
                await self._ring.wait()
        except TimeoutError:
            return
        finally:
            self._ring.clear()

    async def ask(self) -> Answer | None:
        """One exchange; None when nothing came back: then :attr:`lost` says whether to try again."""
        if not self._repeated:
            self._question = Question(self._question.number, tuple(self._orders))
            self._orders.clear()
        sent_ns = self._clock.now()
        try:
            async with asyncio.timeout(ANSWER_S):
                answer = await self.link.ask(self._question)
        except (OSError, TimeoutError) as error:
            self._repeated = True
            await self._unheard(error)
            return None
        received_ns = self._clock.now()
        if not self._repeated:  # a repeated answer may have been stamped at the first question
            self.alignment.exchange(sent_ns, answer.now_ns, received_ns)
        self._question, self._repeated = Question(self._question.number + 1), False
        self._heard_ns = received_ns
        self.last = answer
        if answer.failure is not None:
            self.lost = Lost(received_ns, answer.failure)
        self.ended = answer.ended
        return answer

    async def _unheard(self, error: BaseException) -> None:
        gone = await self.link.gone()
        now_ns = self._clock.now()
        if gone is not None:
            self.lost = Lost(now_ns, gone)
        elif now_ns - self._heard_ns > to_ns(SILENCE_S):
            why = str(error) or "no answer"
            self.lost = Lost(now_ns, f"silent for {SILENCE_S:g} s ({why})")

    async def part(self) -> None:
        """Let it know that all it said has arrived; it ends without that too, only later."""
        try:
            async with asyncio.timeout(ANSWER_S):
                await self.link.ask(self._question)
        except (OSError, TimeoutError):
            return


def period(workers: int) -> float:
    """Seconds between two questions to the same worker."""
    return max(PERIOD_S, workers / QUESTIONS_PER_S)
