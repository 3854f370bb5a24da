"""The faults of one scenario, each by its schedule, each healed before this ends.

Every entry under ``faults`` is a task of its own that makes its occurrences as
they come: it waits for the time, for the conditions, for other faults that
this one does not get along with; then it injects, holds and heals, and goes on
to the next. So the occurrences of one entry never overlap; those of two do.
"""

from __future__ import annotations

import asyncio
import math
import random
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby

from chaosbench.clock import to_ns
from chaosbench.errors import ChaosbenchError, FaultError, InjectionError
from chaosbench.events import Event, Kind
from chaosbench.injectors.injection import Hands, injected
from chaosbench.injectors.life import Injection
from chaosbench.observers.watch import FaultWatch, Watch
from chaosbench.outage import WriteOutage
from chaosbench.recorder.recorder import ActiveFault, Recorder
from chaosbench.scenarios.conditions import Conditions
from chaosbench.scenarios.gate import Admission, Gate, Refused
from chaosbench.scenarios.limits import Limits
from chaosbench.scenarios.plan import last_start, occurrences, seed_of
from chaosbench.scenarios.scenario import OnConflict, PlannedFault, Scenario, ScheduledFault
from chaosbench.sinks.hub import Hub

LOOK_S = 0.5
"""How often is looked whether a fault that waits may come."""


@dataclass(slots=True)
class FaultRecord:
    """One planned fault and what became of it.

    outage:     None until it is about to be injected
    outage_ns:  when its writes ceased to be watched, because the next fault came; None: to the end of the load
    skipped:    why it was left out, where the scenario allows for that
    error:      why it could not be injected or healed
    told:       its figures were told, for it is over
    """

    plan: PlannedFault
    injection: Injection | None = None
    outage: WriteOutage | None = None
    outage_ns: int | None = None
    watch: FaultWatch | None = None
    leader_before: str | None = None
    skipped: str | None = None
    error: str | None = None
    told: bool = False


class Faults:
    """Runs the plan of a scenario. ``records`` has every fault whose time has come, until somebody takes it away.

    done:  by entry, the number of the last occurrence whose time has come; those up to it are not begun again
    """

    def __init__(self, scenario: Scenario, hands: Hands, recorder: Recorder, hub: Hub, seed: int, watch: Watch) -> None:
        self._scenario = scenario
        self._hands = hands
        self._recorder = recorder
        self._hub = hub
        self._clock = hands.clock
        self._seed = seed_of(scenario, seed)
        self._watch = watch
        self._gate = Gate(hands.cluster, scenario.permits)
        self._conditions = Conditions(hands.cluster, recorder, watch)
        self._watched: list[FaultRecord] = []
        self._limits = Limits(scenario.cool_down, scenario.budget, hands.cluster, hands.clock)
        self.records: list[FaultRecord] = []
        self.done: dict[str, int] = {}

    def go_on(self, done: Mapping[str, int], t0s: Iterable[float]) -> None:
        """These occurrences were before; faults were injected at these times of the measurement."""
        self.done.update(done)
        self._limits.remember(self._recorder.started_ns + to_ns(t0_s) for t0_s in t0s)

    async def run(self, start_ns: int) -> None:
        """Inject each fault at its time after ``start_ns``; returns when every one is over.

        A fault that fails does not stop the others. Cancelled, it begins no more and heals those in place.
        """
        async with asyncio.TaskGroup() as faults:
            for fault in self._scenario.faults:
                faults.create_task(self._entry(fault, start_ns))

    async def _entry(self, fault: ScheduledFault, start_ns: int) -> None:
        """The occurrences of one entry, one after the other."""
        first = self.done.get(fault.name, 0) + 1
        for cycle, following in _cycles(occurrences(fault, self._scenario, self._seed)):
            if cycle[0].cycle < first:
                continue
            self.done[fault.name] = cycle[0].cycle
            done = [await self._one(plan, start_ns, following) for plan in cycle]
            if all(done):
                self._conditions.healed[fault.name] += 1

    async def _one(self, plan: PlannedFault, start_ns: int, following: PlannedFault | None) -> bool:
        """One fault from its time to its end; whether it was injected and healed.

        following:  the first fault of the next occurrence: this one does not wait any longer than that
        """
        await self._clock.sleep_until(max(start_ns + to_ns(plan.at), self._clock.now() + to_ns(plan.wait)))
        record = FaultRecord(plan)
        self.records.append(record)
        last_s = last_start(plan, self._scenario)
        latest_ns = start_ns + to_ns(last_s) if math.isfinite(last_s) else sys.maxsize
        if following is not None and plan.schedule.periodic:
            latest_ns = min(latest_ns, start_ns + to_ns(following.at))
        try:
            admission = await self._admitted(record, latest_ns)
            if admission is not None:
                try:
                    await self._inject(record, admission)
                finally:
                    self._limits.went(plan.name)
        except ChaosbenchError as error:
            record.error = str(error)
            if not isinstance(error, FaultError) or record.injection is None or record.injection.heal_error is None:
                self._hub.say(Kind.FAULT_FAILED, fault=plan.name, error=str(error))
        finally:
            if record.watch is not None:
                self._watch.over(record.watch)
        await self._limits.recovered(sys.maxsize if following is None else start_ns + to_ns(following.at))
        return record.injection is not None and record.injection.healed_ns is not None

    async def _admitted(self, record: FaultRecord, latest_ns: int) -> Admission | None:
        """Wait until the fault may come; None when it is left out. InjectionError when it never may."""
        plan, told, held_back = record.plan, False, None
        reason = "those before it took too long"
        while self._clock.now() <= latest_ns:
            try:
                async with self._limits.lock:
                    held_back = await self._limits.holds()
                    missing = held_back or await self._missing(plan)
                    if missing is None:
                        return await self._enter(record)
                reason = f"it waits for {missing}"
            except Refused as refusal:
                if self._scenario.conflict is OnConflict.ERROR:
                    raise
                if self._scenario.conflict is OnConflict.SKIP:
                    self._skip(record, str(refusal))
                    return None
                reason = str(refusal)
            if not told:
                self._hub.say(Kind.FAULT_WAITING, fault=plan.name, reason=reason)
                told = True
            if self._clock.now() + to_ns(LOOK_S) >= latest_ns:
                break  # the load ends with the latest time: who looks then is not heard any more
            await self._clock.sleep(LOOK_S)
        if plan.schedule.periodic or plan.cycle > 1 or held_back:
            self._skip(record, f"its time was over: {reason}")
            return None
        raise InjectionError(f"{plan.name}: not injected before its time was over: {reason}")

    async def _missing(self, plan: PlannedFault) -> str | None:
        """What the fault's conditions still wait for."""
        return await self._conditions.unmet(plan.schedule.conditions, plan.cycle if plan.schedule.chained else 1)

    async def _enter(self, record: FaultRecord) -> Admission:
        # One generator a fault: adding a fault to a scenario changes no other fault's choice.
        rng = random.Random(f"{self._seed}/{record.plan.name}")  # noqa: S311 - not for secrets
        watch = self._watch.before()
        try:
            admission = await self._gate.enter(record.plan.name, record.plan.injector, rng)
        except BaseException:
            self._watch.over(watch)
            raise
        record.watch = watch
        self._limits.came(record.plan.name)
        return admission

    def _skip(self, record: FaultRecord, reason: str) -> None:
        record.skipped = reason
        self._hub.say(Kind.FAULT_SKIPPED, fault=record.plan.name, reason=reason)

    async def _inject(self, record: FaultRecord, admission: Admission) -> None:
        plan, snapshot = record.plan, admission.snapshot
        record.leader_before = snapshot.leader.name if snapshot.leader else None
        try:
            if record.watch is not None:
                await self._watch.look(record.watch)
            async with injected(
                plan.name,
                plan.injector,
                admission.members,
                self._hands,
                lambda event: self._heard(record, event),
            ) as injection:
                record.injection = injection
                await self._clock.sleep(plan.held)
        finally:
            # What could not be healed keeps its members: nothing else is to be put on them.
            if record.injection is None or record.injection.heal_error is None:
                self._gate.leave(plan.name)

    def let_go(self, record: FaultRecord) -> None:
        """Nothing more is to be learnt of a fault: what comes from now on is not its own. It is no record any more."""
        self._unwatch(record, self._clock.now())
        self.records.remove(record)

    def _close_earlier(self, now_ns: int) -> None:
        """A fault that is healed and whose writes are back is over: what comes now is the next one's."""
        for other in tuple(self._watched):
            outage, injection = other.outage, other.injection
            healed = injection is not None and injection.healed_ns is not None
            if outage is not None and healed and (outage.t1_ns is None or outage.t6_ns(now_ns) is not None):
                self._unwatch(other, now_ns)

    def _unwatch(self, record: FaultRecord, now_ns: int) -> None:
        if record not in self._watched or record.outage is None:
            return
        record.outage_ns = now_ns
        self._recorder.unwatch(record.outage)
        record.outage.seal(now_ns)
        self._watched.remove(record)

    def _heard(self, record: FaultRecord, event: Event) -> None:
        """Follow the fault's life by its events: they come at its stamps, also when it goes wrong."""
        active = self._recorder.active_faults
        if event.kind is Kind.FAULT_INJECTING:
            self._close_earlier(event.at_ns)
            record.outage = self._recorder.watch(event.at_ns)
            self._watched.append(record)
            if record.watch is not None:
                self._watch.injecting(record.watch, event.at_ns)
            active[record.plan.name] = ActiveFault(
                record.plan.name, record.plan.injector.kind, str(event.data["target"]), event.at_ns
            )
        elif event.kind is Kind.FAULT_HEALED:
            active.pop(record.plan.name, None)
        self._hub.emit(event)


def _cycles(faults: Iterator[PlannedFault]) -> Iterator[tuple[tuple[PlannedFault, ...], PlannedFault | None]]:
    """The occurrences of an entry, each whole, with the first fault of the one after it."""
    pending: tuple[PlannedFault, ...] = ()
    for _, group in groupby(faults, key=lambda fault: fault.cycle):
        cycle = tuple(group)
        if pending:
            yield pending, cycle[0]
        pending = cycle
    if pending:
        yield pending, None
