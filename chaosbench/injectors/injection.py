"""One fault, put in place and taken away again, whatever happens in between.

Entering :func:`injected` looks at each member, writes into the journal what is
about to be done, injects, and stamps; leaving it heals: when the block ends,
when it raises, when the run is cancelled (Ctrl-C and SIGTERM arrive as
cancellation), and when the injection itself failed or was cancelled half-way.
Healing is awaited to its end before a cancellation goes on. Meanwhile each
member is looked at every second: a fault that is not there any more, because
its target restarted or vanished, is told as lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from chaosbench.clock import Clock
from chaosbench.cluster import Cluster
from chaosbench.errors import ChaosbenchError, ClusterUnavailable, HealError, InjectionError, TargetError
from chaosbench.events import Event, Kind
from chaosbench.injectors import Injector
from chaosbench.injectors.healing import Patience, heal, said, to_the_end
from chaosbench.injectors.life import Hit, Injection
from chaosbench.injectors.record import Journal, Mark, Unwritten
from chaosbench.model.cluster import Member, RunState

LOOK_S = 1.0
"""How often a fault that is in place is looked at."""


@dataclass(frozen=True, slots=True)
class Hands:
    """What it takes to put a fault in place and away."""

    cluster: Cluster
    clock: Clock
    journal: Journal = field(default_factory=Unwritten)
    patience: Patience = field(default_factory=Patience)


@asynccontextmanager
async def injected(
    name: str,
    injector: Injector,
    members: Sequence[Member],
    hands: Hands,
    emit: Callable[[Event], None] = lambda event: None,
) -> AsyncIterator[Injection]:
    """Have the fault in place on all ``members`` for the length of the block.

    Emits FAULT_INJECTING before anything is touched, then FAULT_INJECTED, and at
    the end FAULT_HEALED or HEAL_FAILED; FAULT_LOST for a member that lost it in
    between. A fault that could not be injected raises InjectionError (the caller
    tells of it), after it was healed. HealError is raised only where it hides
    nothing: when the block raised or was cancelled, that goes on, and the
    HealError is its note, ``heal_error`` and the event.
    """
    injection = Injection(name, injector.kind, tuple(Hit(member) for member in members))
    deed = _Deed(injector, injection, hands, emit)
    await deed.prepare()
    injection.injecting_ns = hands.clock.now()
    deed.tell(Kind.FAULT_INJECTING, injection.injecting_ns)
    try:
        await deed.inject()
        async with deed.looked_at():
            yield injection
    except BaseException as error:
        await deed.undo()
        if injection.heal_error is not None:
            error.add_note(str(injection.heal_error))
        raise
    await deed.undo()
    if injection.heal_error is not None:
        raise injection.heal_error


@dataclass(frozen=True, slots=True)
class _Deed:
    """The steps of one injection."""

    injector: Injector
    injection: Injection
    hands: Hands
    emit: Callable[[Event], None]

    async def prepare(self) -> None:
        """See that every member runs, and write down what is about to be done. Nothing is touched yet."""
        try:
            async with asyncio.timeout(self.hands.patience.look):
                for hit in self.injection.hits:
                    await self._require_running(hit)
                    hit.before = await self.injector.look(self.hands.cluster, hit.member)
            for hit in self.injection.hits:
                hit.entry = await self.hands.journal.intend(self.injection.fault, self.injector, hit.member, hit.before)
        except BaseException as error:
            for hit in self.injection.hits:
                if hit.entry:
                    await self.hands.journal.mark(hit.entry, Mark.HEALED)  # it was never begun
            if isinstance(error, InjectionError) or not isinstance(error, Exception):
                raise
            raise InjectionError(f"{self.injection.fault}: {said(error)}; nothing was done") from error

    async def inject(self) -> None:
        """Act on all members at once, to the end even when cancelled.

        An order that is already sent would else take effect after the healing.
        """
        injection, patience = self.injection, self.hands.patience

        async def attempt() -> None:
            async with asyncio.timeout(patience.inject), asyncio.TaskGroup() as group:
                for hit in injection.hits:
                    group.create_task(self.injector.inject(self.hands.cluster, hit.member, hit.before))
            injection.injected_ns = self.hands.clock.now()
            self.tell(Kind.FAULT_INJECTED, injection.injected_ns)
            for hit in injection.hits:
                await self.hands.journal.mark(hit.entry, Mark.APPLIED)

        try:
            await to_the_end(attempt())
        except TimeoutError as error:
            raise InjectionError(f"{injection.fault}: no end of the injection within {patience.inject:g} s") from error
        except ExceptionGroup as group:
            raise InjectionError(f"{injection.fault}: {said(_first(group))}") from group
        except Exception as error:  # an injector's own mistake must not end the run either
            raise InjectionError(f"{injection.fault}: {said(error)}") from error

    @asynccontextmanager
    async def looked_at(self) -> AsyncIterator[None]:
        """Look for the fault on every member for the length of the block; what is over at once is not looked for."""
        if not self.injector.hold:
            yield
            return
        looking = [asyncio.create_task(self._look_at(hit)) for hit in self.injection.hits]
        try:
            yield
        finally:
            for task in looking:
                task.cancel()
            await asyncio.gather(*looking, return_exceptions=True)

    async def undo(self) -> None:
        """Heal every member, each for itself, to the end; then tell."""
        await to_the_end(self._undo_and_tell())

    async def _undo_and_tell(self) -> None:
        async with asyncio.TaskGroup() as group:
            for hit in self.injection.hits:
                group.create_task(self._undo(hit))
        failure, now_ns = self.injection.heal_error, self.hands.clock.now()
        if failure is None:
            self.tell(Kind.FAULT_HEALED, now_ns)
        else:
            self.tell(Kind.HEAL_FAILED, now_ns, error=str(failure), remedy=failure.remedy)

    async def _undo(self, hit: Hit) -> None:
        """An injection of unknown outcome may still take effect, so that is healed twice."""
        hands = self.hands
        try:
            await hands.journal.mark(hit.entry, Mark.HEALING)
            await heal(self.injector, hit.member, hit.before, hands.cluster, hands.clock, hands.patience)
            if self.injection.injected_ns is None:
                await hands.clock.sleep(hands.patience.pause)
                await heal(self.injector, hit.member, hit.before, hands.cluster, hands.clock, hands.patience)
        except HealError as error:
            hit.heal_error = error
        except asyncio.CancelledError:
            remedy = self.injector.remedy(hit.member, hit.before)
            hit.heal_error = HealError(f"healing {hit.member.name} was cut short", remedy)
            raise
        else:
            hit.healed_ns = hands.clock.now()
            await hands.journal.mark(hit.entry, Mark.HEALED)

    async def _look_at(self, hit: Hit) -> None:
        """Until the fault is not there any more. An engine that does not answer proves nothing."""
        while hit.lost_ns is None:
            await self.hands.clock.sleep(LOOK_S)
            try:
                async with asyncio.timeout(self.hands.patience.look):
                    there = await self.injector.present(self.hands.cluster, hit.member, hit.before)
            except TargetError:
                there = False  # its container is gone
            except (ChaosbenchError, TimeoutError):
                continue
            if there is False:
                hit.lost_ns = self.hands.clock.now()
                self.tell(Kind.FAULT_LOST, hit.lost_ns, target=hit.member.name)

    async def _require_running(self, hit: Hit) -> None:
        """The snapshot that chose the member may be old by now, and another fault may hold it."""
        name = self.injection.fault
        try:
            state = await self.hands.cluster.state(hit.member)
        except ClusterUnavailable as error:
            raise InjectionError(f"{name}: {error}") from error
        if state is not RunState.RUNNING:
            raise InjectionError(f"{name}: {hit.member.name} is {state} already, so nothing was done to it")

    def tell(self, kind: Kind, at_ns: int, **extra: object) -> None:
        """Emit an event of this fault."""
        data = {
            "fault": self.injection.fault,
            "injector": self.injection.kind,
            "target": self.injection.names,
            "container": ", ".join(hit.member.container_id[:12] for hit in self.injection.hits),
        }
        self.emit(Event(at_ns, kind, data | extra))


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first error of a group that is none itself."""
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
