"""Undoing a fault: tried several times, checked afterwards, awaited to its end.

It needs the injector's settings, the member and what was known of it before,
nothing of what happened since. So whoever finds these written down heals alike:
the run itself, its guard, and ``chaosbench heal``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from chaosbench.clock import Clock, to_ns
from chaosbench.cluster import Cluster
from chaosbench.errors import ClusterUnavailable, FaultError, HealError
from chaosbench.injectors import Injector
from chaosbench.model.cluster import Member
from chaosbench.model.faults import Before

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the verbs of a fault may take, in seconds.

    look:    seeing how the members stand
    inject:  one injection; a switchover waits for the new leader
    heal:    one try to heal
    tries:   how often healing is tried
    pause:   between two tries
    engine:  as long as healing lasts no longer, a try that found no container engine does not count: it may restart
    """

    look: float = 10.0
    inject: float = 45.0
    heal: float = 20.0
    tries: int = 4
    pause: float = 1.0
    engine: float = 60.0


async def heal(
    injector: Injector,
    member: Member,
    before: Before,
    cluster: Cluster,
    clock: Clock,
    patience: Patience | None = None,
) -> None:
    """Heal ``member``, trying several times; HealError with a remedy to paste when all fail.

    Idempotent as the injectors' heal is: safe to call when nothing is broken.
    Returns when the fault is seen to be gone.
    """
    patience = patience or Patience()
    engine_until = clock.now() + to_ns(patience.engine)
    attempt = 0
    while True:
        try:
            async with asyncio.timeout(patience.heal):
                await injector.heal(cluster, member, before)
                if injector.hold and await injector.present(cluster, member, before) is True:
                    raise FaultError("it is still in place")
            return
        except Exception as error:  # whatever an injector raises, the next try and the remedy matter more
            restarting = isinstance(error, ClusterUnavailable) and clock.now() < engine_until
            attempt += not restarting
            if attempt == patience.tries:
                message = f"{injector.kind} on {member.name} is not healed after {attempt} tries: {said(error)}"
                raise HealError(message, injector.remedy(member, before)) from error
        await clock.sleep(patience.pause)


async def to_the_end(work: Coroutine[Any, Any, T]) -> T:
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


def said(error: BaseException) -> str:
    """An error's text, or its class where it has none."""
    return str(error) or type(error).__name__
