"""Heal whatever the journal says is open: all at once, each with its own time, whoever injected it.

On one member the newest fault goes first, those of the container itself before
all others: into a frozen or dead container nothing else can be healed, and what
a restart discards is then found gone. What concerns the whole cluster comes
last, for its members must answer. Nobody waits long for the one before.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from enum import StrEnum

from chaosbench.clock import Clock, to_ns
from chaosbench.cluster import Cluster
from chaosbench.errors import ChaosbenchError, ClusterUnavailable, HealError, TargetError
from chaosbench.injectors.healing import Patience, heal, said
from chaosbench.injectors.record import Mark
from chaosbench.journal.directory import DiskJournal, Strange
from chaosbench.journal.entries import Deed
from chaosbench.journal.place import healing
from chaosbench.model.cluster import Member
from chaosbench.model.faults import Part, outlives_container


class End(StrEnum):
    """What became of an entry."""

    HEALED = "healed"
    GONE = "gone"  # with its container
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Healed:
    """One entry, and what became of it. ``remedy`` is a command to paste where it failed."""

    deed: Deed
    end: End
    note: str = ""
    remedy: str = ""

    def __str__(self) -> str:
        words = {End.HEALED: "healed", End.GONE: "over", End.FAILED: "NOT healed"}[self.end]
        line = f"{words}: {self.deed.entry}" + (f" ({self.note})" if self.note else "")
        return line + (f"; to heal by hand: {self.remedy}" if self.remedy else "")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What healing from a journal came to."""

    healed: tuple[Healed, ...] = ()
    strange: tuple[Strange, ...] = ()

    @property
    def whole(self) -> bool:
        """Nothing that the journal knows of is left."""
        return not self.strange and self.all_healed

    @property
    def all_healed(self) -> bool:
        """Every entry that could be read is closed."""
        return all(each.end is not End.FAILED for each in self.healed)

    def lines(self) -> list[str]:
        """For the person, one an entry."""
        return [str(each) for each in (*self.healed, *self.strange)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """How long healing from the journal waits, in seconds.

    engine:   for a container engine that is coming back
    lock:     for another process that heals
    turn:     for the heal of one member's newer fault, before the next begins all the same
    settle:   for an order that a process which is now dead had sent, and that has not taken effect yet
    poll:     between two looks at either
    """

    engine: float = 60.0
    lock: float = 30.0
    turn: float = 8.0
    settle: float = 3.0
    poll: float = 0.5
    patience: Patience = field(default_factory=Patience)


async def heal_all(
    journal: DiskJournal,
    cluster: Cluster,
    clock: Clock,
    by: str,
    *,
    pid: int | None = None,
    waits: Waits | None = None,
) -> Outcome:
    """Heal every open entry, close those that are seen to be healed, and tell of the rest.

    by:   who heals, for the history
    pid:  only what this process injected: a guard must not heal the faults of the run after its own

    Never raises for an entry. ClusterUnavailable when another process heals all
    the while; with an engine that does not answer, every entry fails for that reason.
    """
    waits = waits or Waits()
    if not await asyncio.to_thread(_anything, journal):
        return Outcome()
    with ExitStack() as held:
        await asyncio.to_thread(held.enter_context, healing(journal.directory, waits.lock))
        found = await asyncio.to_thread(journal.read)
        healer = _Healer(journal, cluster, clock, by, waits)
        deeds = [deed for deed in found.deeds if pid is None or deed.entry.pid == pid]
        return Outcome(await healer.all(deeds), found.strange)


def _anything(journal: DiskJournal) -> bool:
    found = journal.read()
    return bool(found.deeds or found.strange)


@dataclass(frozen=True, slots=True)
class _Healer:
    journal: DiskJournal
    cluster: Cluster
    clock: Clock
    by: str
    waits: Waits

    async def all(self, deeds: Sequence[Deed]) -> tuple[Healed, ...]:
        if not deeds:
            return ()
        try:
            await self._engine()
        except ChaosbenchError as error:
            return tuple(Healed(deed, End.FAILED, str(error), deed.remedy) for deed in deeds)
        before: list[tuple[Deed, asyncio.Task[Healed]]] = []
        for deed in sorted(deeds, key=_order):
            waited_for = [task for other, task in before if _depends(deed, other)]
            before.append((deed, asyncio.create_task(self._one(deed, waited_for))))
        try:
            return tuple(await asyncio.gather(*(task for _, task in before)))
        finally:
            for _, task in before:
                task.cancel()

    async def _engine(self) -> None:
        """Wait until the engine answers."""
        deadline = self.clock.now() + to_ns(self.waits.engine)
        while True:
            try:
                await self.cluster.containers()
                return
            except ClusterUnavailable:
                if self.clock.now() >= deadline:
                    raise
            await self.clock.sleep(self.waits.poll)

    async def _one(self, deed: Deed, waited_for: Sequence[asyncio.Task[Healed]]) -> Healed:
        entry = deed.entry
        if entry.engine != os.environ.get("DOCKER_HOST", ""):
            where = f"DOCKER_HOST={entry.engine}" if entry.engine else "no DOCKER_HOST"
            return Healed(deed, End.FAILED, f"it is on another engine: heal with {where}", deed.remedy)
        if waited_for:
            await asyncio.wait(waited_for, timeout=self.waits.turn)
        try:
            if not await asyncio.to_thread(self.journal.still_open, entry):
                return Healed(deed, End.HEALED, "by the run itself")
            member = await self._member(deed)
            if member is None:
                note = "its container is gone: the lab was made anew"
                await asyncio.to_thread(self.journal.close, entry, self.by, note)
                return Healed(deed, End.GONE, note)
            await self._heal(deed, member)
        except HealError as error:
            return Healed(deed, End.FAILED, said(error.__cause__ or error), error.remedy)
        except Exception as error:  # whatever goes wrong with one must not keep the others from being healed
            return Healed(deed, End.FAILED, said(error), deed.remedy)
        await asyncio.to_thread(self.journal.close, entry, self.by)
        return Healed(deed, End.HEALED)

    async def _heal(self, deed: Deed, member: Member) -> None:
        entry = deed.entry
        # The first mark stays: it tells the next healer, too, that an order may still be on its way.
        if entry.mark is not Mark.INTENT:
            await asyncio.to_thread(self.journal.update, entry, Mark.HEALING)
        deadline = self.clock.now() + to_ns(self.waits.settle)
        while True:
            await heal(deed.injector, member, entry.before, self.cluster, self.clock, self.waits.patience)
            if entry.mark is not Mark.INTENT or self.clock.now() >= deadline:
                return
            await self.clock.sleep(self.waits.poll)

    async def _member(self, deed: Deed) -> Member | None:
        """Whom to heal: the same container; its successor for what outlives a container; nobody when it is gone."""
        last: Exception | None = None
        for _ in range(self.waits.patience.tries):
            try:
                await self.cluster.state(deed.member)
                return deed.member
            except TargetError:
                if not outlives_container(deed.injector.touches):
                    return None
                return (await self.cluster.snapshot()).member(deed.member.name)
            except ClusterUnavailable as error:
                last = error
            await self.clock.sleep(self.waits.patience.pause)
        raise HealError(f"{deed.entry} is not healed", deed.remedy) from last


def _order(deed: Deed) -> tuple[int, int]:
    """Containers first, the whole cluster last; newest first among equals."""
    part = deed.injector.touches
    rank = 0 if part is Part.CONTAINER else 2 if part is Part.SETTINGS else 1
    return rank, -int(deed.entry.id.split("-")[0].replace("T", ""))


def _depends(deed: Deed, earlier: Deed) -> bool:
    """Whether one that goes first is on the same member, or both concern the whole cluster."""
    parts = {deed.injector.touches, earlier.injector.touches}
    return deed.member.name == earlier.member.name or parts == {Part.SETTINGS}
