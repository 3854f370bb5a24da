"""``signal``: a signal to processes inside a member's container, which itself runs on.

Killing a container, Patroni and the postmaster are three different faults: who
notices, and who brings it back, differs. STOP is held and undone by CONT on the
very same processes; every other signal is over at once, and what it ended is
left to whoever supervises it.
"""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field
from pydantic.dataclasses import dataclass

from chaosbench.cluster import Cluster
from chaosbench.errors import InjectionError
from chaosbench.injectors.processes import ACT, INIT, LIST, STOPPED, WORDS, Process, find, listing, states
from chaosbench.model.cluster import Member, Role, RunState
from chaosbench.model.faults import Before, Need, Part
from chaosbench.model.scenario import STRICT
from chaosbench.units import Seconds

HOLD_S = 15.0
_UNSAID = -1.0


def _word(text: str) -> str:
    if text not in WORDS:
        try:
            re.compile(text)
        except re.error as error:
            raise ValueError(
                f"{text!r} is neither one of {', '.join(WORDS)} nor a pattern of a command line ({error})"
            ) from None
    return text


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Signal:
    """Send a signal to processes inside the target's container; STOP is undone by CONT after ``hold``."""

    kind: ClassVar[str] = "signal"
    hits: ClassVar[frozenset[Role]] = frozenset(Role)
    touches: ClassVar[Part] = Part.PROCESSES
    needs: ClassVar[frozenset[Need]] = frozenset()
    disables: ClassVar[bool] = True

    target: str
    process: Annotated[str, Field(min_length=1), AfterValidator(_word)]
    signal: Literal["STOP", "KILL", "TERM", "INT", "QUIT", "HUP", "ABRT", "SEGV", "USR1", "USR2"] = "STOP"
    hold: Seconds = _UNSAID

    def __post_init__(self) -> None:
        """What is held must be held for a while; nothing else can be."""
        if self.hold == _UNSAID:
            object.__setattr__(self, "hold", HOLD_S if self.signal == "STOP" else 0.0)
        if self.signal == "STOP" and not self.hold:
            raise ValueError("signal STOP is held: write a 'hold', as in 15s")
        if self.signal != "STOP" and self.hold:
            raise ValueError(f"signal {self.signal} is over at once: leave 'hold' out")

    async def look(self, cluster: Cluster, member: Member) -> Before:
        """The processes that are meant, each by its id and start time. InjectionError when there are none."""
        processes = listing(await cluster.execute(member, ["bash", "-c", LIST], user="0"))
        found = find(self.process, processes)
        for process in found:
            self._check(process, member)
        if not found:
            names = ", ".join(sorted({process.name for process in processes}))
            raise InjectionError(f"signal: {member.name} has no process {self.process!r}; it has {names}")
        return {"processes": [process.handle for process in found]}

    def _check(self, process: Process, member: Member) -> None:
        if process.pid == INIT:
            raise InjectionError(
                f"signal: {self.process!r} means the first process of {member.name}, which the kernel spares: "
                "use kill or pause for the whole container"
            )
        if process.state == STOPPED:
            raise InjectionError(f"signal: process {process.pid} of {member.name} is stopped already")

    async def inject(self, cluster: Cluster, member: Member, before: Before) -> None:
        """Send the signal; a process that is stopped stands when this returns."""
        after = await self._act(cluster, member, before, self.signal)
        if self.signal == "STOP" and STOPPED not in after.values():
            raise InjectionError(f"signal: the processes of {member.name} did not stop: {after}")

    async def present(self, cluster: Cluster, member: Member, before: Before) -> bool:
        """One of them at least is stopped."""
        if self.signal != "STOP" or await cluster.state(member) is RunState.EXITED:
            return False
        return STOPPED in (await self._act(cluster, member, before, "look")).values()

    async def heal(self, cluster: Cluster, member: Member, before: Before) -> None:
        """Let those go on that are still stopped."""
        if await self.present(cluster, member, before):
            await self._act(cluster, member, before, "CONT")

    async def _act(self, cluster: Cluster, member: Member, before: Before, signal: str) -> dict[str, str]:
        command = ["bash", "-c", ACT, "chaosbench", signal, *before["processes"]]
        return states(await cluster.execute(member, command, user="0"))

    def remedy(self, member: Member, before: Before) -> str:
        """Send CONT to those that were stopped."""
        pids = " ".join(handle.partition(":")[0] for handle in before["processes"])
        return f"docker exec -u 0 {member.container_id[:12]} bash -c 'kill -CONT {pids}'"
