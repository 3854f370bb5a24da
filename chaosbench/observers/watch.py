"""All observers together for the length of a scenario, and what each fault makes of them.

They look quickly from the moment a fault is about to be injected until it is
healed and the cluster has been whole, and the canary's writes acknowledged,
for ``SETTLED_S``; seldom at all other times.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from chaosbench.clock import Clock, to_ns
from chaosbench.model.observation import DcsView, Observations
from chaosbench.observers.canary import Canary
from chaosbench.observers.pace import Pace
from chaosbench.observers.record import Record
from chaosbench.observers.tail import SOURCE as TAIL
from chaosbench.observers.tail import Tail
from chaosbench.outage import WriteOutage
from chaosbench.primaries import DoublePrimary
from chaosbench.recorder.recorder import Recorder

SETTLED_S = 5.0
LOOK_S = 0.1
"""Whether a fault is over is decided so often."""

AGREE_S = 10.0
"""So long observers get to see for themselves that the cluster is whole: Pgpool may keep one of them waiting."""

CANARY_S = 1.0
"""... and an acknowledgement of the canary is fresh for so long."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sources:
    """The observers of one scenario. ``runs`` are their bodies by source; ``missing`` says why others are not there.

    view:      asks the DCS how it stands; None where it is not observed
    trouble:   asked at the end: sources that ran and saw nothing, and why
    """

    pace: Pace
    record: Record
    nodes: tuple[str, ...] = ()
    runs: Mapping[str, Callable[[], Coroutine[Any, Any, None]]] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    canary: Canary | None = None
    view: Callable[[], Coroutine[Any, Any, DcsView]] | None = None
    trouble: Callable[[], Mapping[str, str]] = dict


@dataclass(slots=True)
class FaultWatch:
    """One fault as the observers follow it.

    canary:     the canary's writes alone
    service:    everybody's, the load's and the canary's
    closed_ns:  when the observers ceased to look quickly for it
    """

    dcs: DcsView | None = None
    t0_ns: int | None = None
    canary: WriteOutage | None = None
    service: WriteOutage | None = None
    over_ns: int | None = None
    closed_ns: int | None = None


class Watch:
    """Use :meth:`running`; a fault goes ``before`` - ``look`` - ``injecting`` - ``over``."""

    def __init__(self, sources: Sources, clock: Clock) -> None:
        self._sources = sources
        self._clock = clock
        self._tasks: list[asyncio.Task[None]] = []
        self.tail: Tail | None = None
        self._recorder: Recorder | None = None
        self._failed = dict(sources.missing)
        self._open: list[FaultWatch] = []

    @property
    def observes(self) -> bool:
        """Whether there is any observer at all."""
        return bool(self._sources.runs)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Observe for the length of the block."""
        self._tasks = [asyncio.create_task(self._guarded(name, run)) for name, run in self._sources.runs.items()]
        self._tasks.append(asyncio.create_task(self._closing()))
        try:
            yield
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            for fault in tuple(self._open):
                self._close(fault)

    def follow(self, recorder: Recorder) -> None:
        """The measurement begins: follow the load's p99 as well, while :meth:`running`."""
        self.tail = Tail(self._clock, recorder)
        self._recorder = recorder
        self._tasks.append(asyncio.create_task(self._guarded(TAIL, self.tail.run)))

    def before(self) -> FaultWatch:
        """A fault is on its way: look quickly from now on."""
        fault = FaultWatch()
        self._open.append(fault)
        self._sources.pace.hasten()
        return fault

    async def look(self, fault: FaultWatch) -> None:
        """The fault comes next: how do the DCS and the load stand? Takes at most about a second."""
        if self.tail is not None:
            self.tail.fault()
        if self._sources.view is not None:
            fault.dcs = await self._sources.view()

    def injecting(self, fault: FaultWatch, t0_ns: int) -> None:
        """The injector is called now."""
        fault.t0_ns = t0_ns
        canary, recorder = self._sources.canary, self._recorder
        if canary is None or recorder is None:
            return
        fault.canary = canary.watch(t0_ns)
        fault.service = canary.follow(recorder.watch(t0_ns))

    def over(self, fault: FaultWatch) -> None:
        """The fault was healed, or could not be injected: what remains are its consequences."""
        fault.over_ns = self._clock.now()
        if fault.t0_ns is None:
            self._close(fault)

    async def agree(self) -> None:
        """The cluster is whole by its own account: wait until the observers of a fault say so too, or give up."""
        until_ns = self._clock.now() + to_ns(AGREE_S)
        while self._open and not self._sources.record.whole and self._clock.now() < until_ns:
            await self._clock.sleep(LOOK_S)

    def observations(self) -> Observations:
        """What was seen so far."""
        record = self._sources.record
        return Observations(
            nodes_watched=self._sources.nodes if record.nodes else (),
            keys=tuple(record.keys),
            requests=tuple(record.requests),
            nodes=tuple(record.nodes),
            proxy=tuple(record.proxy),
            engine=tuple(record.engine),
            failed=dict(self._sources.trouble()) | self._failed,
        )

    def forget(self, before_ns: int) -> None:
        """No fault injected before then will be asked about any more."""
        self._sources.record.forget(before_ns)

    def tell(self, doubled: Callable[[DoublePrimary], None], named: Callable[[str, str], None]) -> None:
        """Say from now on who is a primary beside another one, and at which address a node is; see :class:`Record`."""
        self._sources.record.doubled, self._sources.record.named = doubled, named

    @property
    def double_primaries(self) -> tuple[DoublePrimary, ...]:
        """Every time that two nodes were out of recovery at once."""
        return tuple(self._sources.record.primaries.episodes)

    def rates(self) -> dict[str, tuple[float, float]]:
        """Each source's questions a second, while quick and otherwise."""
        return {name: self._sources.pace.rates(name) for name in self._sources.runs}

    @property
    def now_ns(self) -> int:
        """Until when there are observations."""
        return self._clock.now()

    @property
    def quick_ns(self) -> int:
        """For how long the observers looked quickly."""
        return self._sources.pace.quick_ns

    async def _guarded(self, name: str, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """An observer that raises is out; the run and the other observers go on."""
        try:
            await run()
        except Exception as error:
            log.exception("observer %s failed and is out", name)
            self._failed[name] = f"{type(error).__name__}: {error}"

    async def _closing(self) -> None:
        """Close the faults whose consequences are over."""
        quiet_since_ns: int | None = None
        while True:
            await self._clock.sleep(LOOK_S)
            now_ns = self._clock.now()
            if not self._calm(now_ns):
                quiet_since_ns = None
                continue
            quiet_since_ns = now_ns if quiet_since_ns is None else quiet_since_ns
            for fault in tuple(self._open):
                since_ns = max(quiet_since_ns, fault.over_ns) if fault.over_ns is not None else now_ns
                if now_ns - since_ns >= to_ns(SETTLED_S):
                    self._close(fault)

    def _calm(self, now_ns: int) -> bool:
        acked = [fault.canary.last_ack_ns for fault in self._open if fault.canary is not None]
        return self._sources.record.whole and all(now_ns - at_ns < to_ns(CANARY_S) for at_ns in acked)

    def _close(self, fault: FaultWatch) -> None:
        self._open.remove(fault)
        fault.closed_ns = self._clock.now()
        for outage in (fault.canary, fault.service):
            if outage is not None and self._sources.canary is not None:
                self._sources.canary.unwatch(outage)
        if fault.service is not None and self._recorder is not None:
            self._recorder.unwatch(fault.service)
        for outage in (fault.canary, fault.service):
            if outage is not None:
                outage.seal(fault.closed_ns)
        if not self._open:
            self._sources.pace.relax()
