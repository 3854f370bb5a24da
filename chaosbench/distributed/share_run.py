"""One share of a load, on a worker: the engine, begun, turned and stopped at the coordinator's word."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from chaosbench.clock import NS, Clock, to_ns
from chaosbench.distributed.gathering import NO_READS, GatheringLedger, GatheringRecorder, take_registers
from chaosbench.distributed.wire import FIRST, Answer, Begin, Order, Plan, Question, Stop, Turn
from chaosbench.engine.engine import Engine, without_gc_pauses
from chaosbench.staleness import Registers
from chaosbench.workload import Context

UNASKED_S = 10.0
"""A worker that nobody has asked for so long ends its load: the coordinator is gone, or has given it up."""
_LOOK_S = 0.5


class ShareRun:
    """Carries its share from :meth:`run` on until it is told to stop, or nobody asks any more.

    ``cpu`` tells the CPU seconds that this process has used.
    """

    def __init__(self, plan: Plan, clock: Clock, cpu: Callable[[], float] = time.process_time) -> None:
        self._plan = plan
        self._clock = clock
        self._cpu = cpu
        self._ledger = GatheringLedger(plan.ledger_run, plan.share)
        self._registers = Registers(plan.ledger_run)
        self._recorders = [self._recorder(0)]
        self._engine = Engine(self._recorders[0], clock, plan.seed, self._late, plan.share)
        self._stopping = asyncio.Event()
        self._asked_ns = clock.now()
        self._worst_late_ns = 0
        self._answer: Answer | None = None
        self._ended = False
        self._failure: str | None = None
        self._told = asyncio.Event()
        self._begun = asyncio.Event()
        context = Context(
            scale=plan.scale, ledger=self._ledger, registers=self._registers, now=clock.now, share=plan.share
        )
        for stream in plan.streams:
            self._engine.add(stream.name, stream.settings, stream.workload.start(context), stream.connect)

    async def run(self) -> None:
        """The load, until its end has been told."""
        # One that Dask begins anew, after its worker was lost and came back, is never asked for its beginning.
        while not self._begun.is_set() and not self._unasked():
            await _wait(self._begun, _LOOK_S)
        if not self._begun.is_set():
            return
        try:
            async with without_gc_pauses(), self._engine.running():
                while not self._stopping.is_set() and not self._unasked():
                    await _wait(self._stopping, _LOOK_S)
        except Exception as error:  # raised below: it is to be told first
            self._failure = _said(error)
        finally:
            self._ended = True
        while not self._told.is_set() and not self._unasked():
            await _wait(self._told, _LOOK_S)
        if self._failure is not None:
            raise RuntimeError(self._failure)

    def ask(self, question: Question) -> Answer:
        """Carry out the orders and tell what has come since the last question; a repeated one changes nothing."""
        if self._answer is None and question.number != FIRST:
            raise OSError("this share was begun anew: what came before is lost")
        self._begun.set()
        self._asked_ns = self._clock.now()
        if self._answer is not None:
            if question.number == self._answer.number:
                return self._answer
            if self._answer.ended:
                self._told.set()
        for order in question.orders:
            self._carry_out(order)
        self._answer = self._tell(question.number)
        return self._answer

    def _carry_out(self, order: Order) -> None:
        match order:
            case Begin(at_ns):
                self._engine.begin(at_ns)
            case Turn(at_ns):
                delay = max(0.0, (at_ns - self._clock.now()) / NS)
                asyncio.get_running_loop().call_later(delay, self._turn)
            case Stop():
                self._stopping.set()

    def _turn(self) -> None:
        self._recorders.append(self._recorder(len(self._recorders)))
        self._engine.record_in(self._recorders[-1])
        self._registers.begin()

    def _recorder(self, epoch: int) -> GatheringRecorder:
        return GatheringRecorder(self._clock, epoch, outages=self._plan.outages, samples=self._plan.samples)

    def _tell(self, number: int) -> Answer:
        ended = self._ended
        now_ns = self._clock.now()
        worst, self._worst_late_ns = self._worst_late_ns, 0
        last = self._recorders[-1]
        return Answer(
            number=number,
            now_ns=now_ns,
            gains=tuple(
                one.take(take_registers(self._registers) if one is last else NO_READS) for one in self._recorders
            ),
            ledger=self._ledger.take(),
            connected=self._engine.connected_count(),
            backlog=self._engine.backlog,
            cpu_s=self._cpu(),
            worst_late_ns=worst,
            ended=ended,
            failure=self._failure,
        )

    def _late(self, late_ns: int) -> None:
        self._worst_late_ns = max(self._worst_late_ns, late_ns)

    def _unasked(self) -> bool:
        return self._clock.now() - self._asked_ns > to_ns(UNASKED_S)


def _said(error: Exception) -> str:
    """The error at the bottom of nested groups, as one line."""
    bottom: BaseException = error
    while isinstance(bottom, BaseExceptionGroup):
        bottom = bottom.exceptions[0]
    return f"{type(bottom).__name__}: {bottom}"


async def _wait(event: asyncio.Event, seconds: float) -> None:
    """Until it is set, but not longer."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass
