"""The planned faults of one scenario, each on its time, each healed before this ends."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass

from chaosbench.clock import to_ns
from chaosbench.errors import ChaosbenchError, FaultError
from chaosbench.events import Event, Kind
from chaosbench.injectors.injection import Hands, injected
from chaosbench.injectors.life import Injection
from chaosbench.injectors.targets import resolve
from chaosbench.observers.watch import FaultWatch, Watch
from chaosbench.outage import WriteOutage
from chaosbench.recorder.recorder import ActiveFault, Recorder
from chaosbench.scenarios.scenario import PlannedFault
from chaosbench.sinks.hub import Hub


@dataclass(slots=True)
class FaultRecord:
    """One planned fault and what became of it.

    outage:     None until it is about to be injected
    outage_ns:  when its writes ceased to be watched, because the next fault came; None: to the end of the load
    """

    plan: PlannedFault
    injection: Injection | None = None
    outage: WriteOutage | None = None
    outage_ns: int | None = None
    watch: FaultWatch | None = None
    leader_before: str | None = None
    error: str | None = None


class Faults:
    """Runs the plan. :meth:`run` returns when every fault is healed, or says why it is not."""

    def __init__(
        self,
        plan: Sequence[PlannedFault],
        hands: Hands,
        recorder: Recorder,
        hub: Hub,
        seed: str,
        watch: Watch,
    ) -> None:
        self._hands = hands
        self._recorder = recorder
        self._hub = hub
        self._clock = hands.clock
        self._seed = seed
        self._watch = watch
        self.records = tuple(FaultRecord(fault) for fault in plan)

    async def run(self, start_ns: int) -> None:
        """Inject each fault at its time after ``start_ns``. A fault that fails does not stop the others."""
        async with asyncio.TaskGroup() as faults:
            for record in self.records:
                faults.create_task(self._one(record, start_ns))

    async def _one(self, record: FaultRecord, start_ns: int) -> None:
        await self._clock.sleep_until(start_ns + to_ns(record.plan.at))
        record.watch = self._watch.before()
        try:
            await self._inject(record, record.watch)
        except ChaosbenchError as error:
            record.error = str(error)
            if not isinstance(error, FaultError) or record.injection is None or record.injection.heal_error is None:
                self._hub.say(Kind.FAULT_FAILED, fault=record.plan.name, error=str(error))
        finally:
            self._watch.over(record.watch)

    async def _inject(self, record: FaultRecord, watch: FaultWatch) -> None:
        plan, injector = record.plan, record.plan.injector
        # One generator a fault: adding a fault to a scenario changes no other fault's choice.
        rng = random.Random(f"{self._seed}/{plan.name}")  # noqa: S311 - not for secrets
        cluster = self._hands.cluster
        snapshot = await cluster.snapshot()
        record.leader_before = snapshot.leader.name if snapshot.leader else None
        members = (resolve(injector.target, injector, snapshot, rng, await cluster.containers()),)
        await self._watch.look(watch)
        async with injected(
            plan.name, injector, members, self._hands, lambda event: self._heard(record, event)
        ) as injection:
            record.injection = injection
            await self._clock.sleep(injector.hold)

    def _close_earlier(self, record: FaultRecord, now_ns: int) -> None:
        """A fault that is healed and whose writes are back is over: what comes now is the next one's."""
        for other in self.records:
            outage, injection = other.outage, other.injection
            if other is record or outage is None or other.outage_ns is not None:
                continue
            healed = injection is not None and injection.healed_ns is not None
            if healed and (outage.t1_ns is None or outage.t6_ns(now_ns) is not None):
                other.outage_ns = now_ns
                self._recorder.unwatch(outage)

    def _heard(self, record: FaultRecord, event: Event) -> None:
        """Follow the fault's life by its events: they come at its stamps, also when it goes wrong."""
        active = self._recorder.active_faults
        if event.kind is Kind.FAULT_INJECTING:
            self._close_earlier(record, event.at_ns)
            record.outage = self._recorder.watch(event.at_ns)
            if record.watch is not None:
                self._watch.injecting(record.watch, event.at_ns)
            active[record.plan.name] = ActiveFault(
                record.plan.name, record.plan.injector.kind, str(event.data["target"]), event.at_ns
            )
        elif event.kind is Kind.FAULT_HEALED:
            active.pop(record.plan.name, None)
        self._hub.emit(event)
