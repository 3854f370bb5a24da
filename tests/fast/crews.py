"""Workers in this process, on virtual time: each with a clock of its own, and lines that are slow, lossy or cut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress

from chaosbench.clock import Clock
from chaosbench.distributed.members import Link
from chaosbench.distributed.share_run import ShareRun
from chaosbench.distributed.wire import Answer, Plan, Question


class FakeLink:
    """A worker that runs as a task.

    skew_ns:   its clock minus ours
    loses:     asked before each answer comes back: whether it gets lost on its way
    """

    def __init__(self, address: str, clock: Clock, skew_ns: int, latency: float = 0.0005) -> None:
        self.address = address
        self.clock = clock
        self.skew_ns = skew_ns
        self.latency = latency
        self.loses: Callable[[], bool] = lambda: False
        self.silent = False
        self.run: ShareRun | None = None
        self.task: asyncio.Task[None] | None = None
        self.questions: list[Question] = []
        self._killed = False

    async def start(self, plan: Plan) -> None:
        self.run = ShareRun(plan, Clock(now=lambda: self.clock.now() + self.skew_ns), cpu=lambda: 0.5)
        self.task = asyncio.create_task(self.run.run())

    async def ask(self, question: Question) -> Answer:
        if self._killed:
            raise ConnectionResetError("connection reset by peer")
        self.questions.append(question)
        await asyncio.sleep(self.latency)
        if self.silent:
            await asyncio.Event().wait()
        assert self.run is not None
        answer = self.run.ask(question)
        await asyncio.sleep(self.latency * 3)
        if self._killed or self.loses():
            raise ConnectionResetError("connection reset by peer")
        return answer

    async def gone(self) -> str | None:
        return "its process is gone" if self._killed else None

    def kill(self) -> None:
        """As kill -9 would: it says nothing more."""
        self._killed = True
        if self.task is not None:
            self.task.cancel()


class FakeCrew:
    """So many of them; each clock is an hour and a bit ahead of the one before."""

    def __init__(self, workers: int, clock: Clock) -> None:
        self.members = [FakeLink(f"fake://{n}", clock, (n + 1) * 3_600_123_456_789) for n in range(workers)]

    @asynccontextmanager
    async def links(self) -> AsyncIterator[Sequence[Link]]:
        try:
            yield self.members
        finally:
            for member in self.members:
                if member.task is not None:
                    member.task.cancel()
                    with suppress(asyncio.CancelledError, RuntimeError):
                        await member.task
