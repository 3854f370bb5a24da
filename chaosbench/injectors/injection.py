"""One fault, put in place and taken away again, whatever happens in between.

Entering :func:`injected` looks at the member, injects, and stamps; leaving it
heals: when the block ends, when it raises, when the run is cancelled (Ctrl-C
and SIGTERM arrive as cancellation), and when the injection itself failed or was
cancelled half-way. Healing is awaited to its end before a cancellation goes on.

:func:`heal` needs the injector's settings and the member alone, nothing of what
happened here. So whoever finds both written down can heal as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from chaosbench.clock import Clock
from chaosbench.cluster import Cluster
from chaosbench.errors import ChaosbenchError, HealError, InjectionError
from chaosbench.events import Event, Kind
from chaosbench.injectors import Fault
from chaosbench.model.cluster import Member, RunState

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the verbs of a fault may take, in seconds.

    inject:  one injection; a switchover waits for the new leader
    heal:    one try to heal
    tries:   how often healing is tried
    pause:   between two tries
    """

    inject: float = 45.0
    heal: float = 20.0
    tries: int = 4
    pause: float = 1.0


@dataclass(slots=True)
class Injection:
    """One fault's life, in the run's nanoseconds. T0 lies between the first two stamps.

    injecting_ns:  just before the injector was called
    injected_ns:   just after it returned; None when it did not return well
    healed_ns:     just after healing; None when it is not healed (yet)
    heal_error:    why it could not be healed
    """

    fault: str
    kind: str
    member: Member
    injecting_ns: int
    injected_ns: int | None = None
    healed_ns: int | None = None
    heal_error: HealError | None = None


@asynccontextmanager
async def injected(
    name: str,
    fault: Fault,
    member: Member,
    cluster: Cluster,
    clock: Clock,
    emit: Callable[[Event], None] = lambda event: None,
    patience: Patience | None = None,
) -> AsyncIterator[Injection]:
    """Have ``fault`` in place on ``member`` for the length of the block.

    Emits FAULT_INJECTING before anything is touched, then FAULT_INJECTED, and at
    the end FAULT_HEALED or HEAL_FAILED. A fault that could not be injected
    raises InjectionError (the caller tells of it), after it was healed. HealError
    is raised only where it hides nothing: when the block raised or was cancelled,
    that goes on, and the HealError is its note, ``heal_error`` and the event.
    """
    patience = patience or Patience()
    await _require_running(name, member, cluster)
    injection = Injection(name, fault.kind, member, injecting_ns=clock.now())
    emit(_event(Kind.FAULT_INJECTING, injection, injection.injecting_ns))
    try:
        await _inject(fault, injection, cluster, clock, emit, patience)
        yield injection
    except BaseException as error:
        await _undo(fault, injection, cluster, clock, emit, patience)
        if injection.heal_error is not None:
            error.add_note(str(injection.heal_error))
        raise
    await _undo(fault, injection, cluster, clock, emit, patience)
    if injection.heal_error is not None:
        raise injection.heal_error


async def heal(fault: Fault, member: Member, cluster: Cluster, clock: Clock, patience: Patience | None = None) -> None:
    """Heal ``member`` of ``fault``, trying several times; HealError with a remedy to paste when all fail.

    Idempotent as the injectors' heal is: safe to call when nothing is broken.
    """
    patience = patience or Patience()
    for attempt in range(1, patience.tries + 1):
        try:
            async with asyncio.timeout(patience.heal):
                await fault.heal(cluster, member)
            return
        except Exception as error:  # whatever an injector raises, the next try and the remedy matter more
            if attempt == patience.tries:
                message = f"{fault.kind} on {member.name} is not healed after {attempt} tries: {_said(error)}"
                raise HealError(message, fault.remedy(member)) from error
        await clock.sleep(patience.pause)


async def _require_running(name: str, member: Member, cluster: Cluster) -> None:
    """The snapshot that chose the member may be old by now, and another fault may hold it."""
    try:
        state = await cluster.state(member)
    except ChaosbenchError as error:
        raise InjectionError(f"{name}: {error}") from error
    if state is not RunState.RUNNING:
        raise InjectionError(f"{name}: {member.name} is {state} already, so nothing was done to it")


async def _inject(
    fault: Fault,
    injection: Injection,
    cluster: Cluster,
    clock: Clock,
    emit: Callable[[Event], None],
    patience: Patience,
) -> None:
    async def attempt() -> None:
        async with asyncio.timeout(patience.inject):
            await fault.inject(cluster, injection.member)
        injection.injected_ns = clock.now()
        emit(_event(Kind.FAULT_INJECTED, injection, injection.injected_ns))

    try:
        # To its end even when cancelled: an order already sent would else take effect after the healing.
        await _to_the_end(attempt())
    except TimeoutError as error:
        raise InjectionError(f"{injection.fault}: no end of the injection within {patience.inject:g} s") from error
    except Exception as error:  # an injector's own mistake must not end the run either
        raise InjectionError(f"{injection.fault}: {_said(error)}") from error


async def _undo(
    fault: Fault,
    injection: Injection,
    cluster: Cluster,
    clock: Clock,
    emit: Callable[[Event], None],
    patience: Patience,
) -> None:
    """Heal to the end, and tell. An injection of unknown outcome may still take effect, so that is healed twice."""

    async def undo() -> None:
        await heal(fault, injection.member, cluster, clock, patience)
        if injection.injected_ns is None:
            await clock.sleep(patience.pause)
            await heal(fault, injection.member, cluster, clock, patience)

    def told(failure: HealError | None) -> None:
        injection.heal_error = failure
        injection.healed_ns = clock.now() if failure is None else None
        kind = Kind.FAULT_HEALED if failure is None else Kind.HEAL_FAILED
        extra = {} if failure is None else {"error": str(failure), "remedy": failure.remedy}
        emit(_event(kind, injection, clock.now(), **extra))

    async def undo_and_tell() -> None:
        try:
            await undo()
        except HealError as error:
            told(error)
        except asyncio.CancelledError:
            told(HealError(f"healing {injection.member.name} was cut short", fault.remedy(injection.member)))
            raise
        else:
            told(None)

    await _to_the_end(undo_and_tell())


async def _to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Await ``work`` whole; a cancellation that comes meanwhile is passed on after it."""
    task = asyncio.create_task(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        if not task.cancelled():
            task.exception()  # looked at, so that asyncio does not report it as never retrieved
        raise cancelled
    return task.result()


def _event(kind: Kind, injection: Injection, at_ns: int, **extra: object) -> Event:
    data = {
        "fault": injection.fault,
        "injector": injection.kind,
        "target": injection.member.name,
        "container": injection.member.container_id[:12],
    }
    return Event(at_ns, kind, data | extra)


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__
