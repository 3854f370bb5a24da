"""``exec``: commands of your own put a fault in place and take it away, in the container or on this machine."""

from __future__ import annotations

import shlex
from typing import ClassVar, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from chaosbench.cluster import Cluster
from chaosbench.errors import FaultError, InjectionError
from chaosbench.injectors import hostcommand
from chaosbench.model.cluster import Executed, Member, Role, RunState
from chaosbench.model.faults import NOTHING, Before, Need, Part
from chaosbench.model.scenario import STRICT
from chaosbench.units import Seconds

Command = str | tuple[str, ...]
"""Text for ``sh -c``, or a list of words that no shell sees."""

_ABSENT = 1


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Exec:
    """Run a command of your own, and another one after ``hold`` that undoes it."""

    kind: ClassVar[str] = "exec"
    hits: ClassVar[frozenset[Role]] = frozenset(Role)
    touches: ClassVar[Part] = Part.OTHER
    needs: ClassVar[frozenset[Need]] = frozenset()
    disables: ClassVar[bool] = True

    target: str
    run: Command = Field(min_length=1)
    undo: Command = Field(min_length=1)
    check: Command | None = None
    where: Literal["member", "host"] = "member"
    user: str = ""
    timeout: Seconds = Field(default=10.0, gt=0, le=40)
    hold: Seconds = Field(default=15.0, gt=0)

    async def look(self, cluster: Cluster, member: Member) -> Before:
        """Nothing: only the user knows what there would be to remember."""
        return NOTHING

    async def inject(self, cluster: Cluster, member: Member, before: Before) -> None:
        """Run the command. InjectionError with what it printed when it fails."""
        said = await self._run(cluster, member, self.run)
        if not said.ok:
            raise InjectionError(f"exec on {member.name}: 'run' ended with {said.code}: {_line(said)}")

    async def present(self, cluster: Cluster, member: Member, before: Before) -> bool | None:
        """What ``check`` says: 0 there, 1 not. None without it: then nobody can tell."""
        if self.check is None:
            return None
        if self.where == "member" and await cluster.state(member) is not RunState.RUNNING:
            return False
        said = await self._run(cluster, member, self.check)
        if said.code not in (0, _ABSENT):
            raise FaultError(f"exec on {member.name}: 'check' ended with {said.code}: {_line(said)}")
        return said.ok

    async def heal(self, cluster: Cluster, member: Member, before: Before) -> None:
        """Run ``undo``, unless ``check`` says that nothing is there. It may be run more than once."""
        if self.check is not None and not await self.present(cluster, member, before):
            return
        said = await self._run(cluster, member, self.undo)
        if not said.ok:
            raise FaultError(f"'undo' ended with {said.code}: {_line(said)}")

    def remedy(self, member: Member, before: Before) -> str:
        """Run ``undo``."""
        environment = [f"{key}={value}" for key, value in _environment(member).items()]
        if self.where == "host":
            return f"env {shlex.join([*environment, *_words(self.undo)])}"
        user = ["--user", self.user] if self.user else []
        variables = [word for pair in environment for word in ("--env", pair)]
        return shlex.join(["docker", "exec", *user, *variables, member.container_id[:12], *_words(self.undo)])

    async def _run(self, cluster: Cluster, member: Member, command: Command) -> Executed:
        environment = _environment(member)
        if self.where == "host":
            return await hostcommand.run(_words(command), environment, self.timeout)
        words = ["env", *(f"{key}={value}" for key, value in environment.items()), *_words(command)]
        return await cluster.execute(member, words, user=self.user, timeout=self.timeout)


def _environment(member: Member) -> dict[str, str]:
    return {
        "CHAOSBENCH_MEMBER": member.name,
        "CHAOSBENCH_CONTAINER": member.container_id,
        "CHAOSBENCH_ROLE": member.role.value,
    }


def _words(command: Command) -> list[str]:
    return ["sh", "-c", command] if isinstance(command, str) else list(command)


def _line(said: Executed) -> str:
    return " ".join(said.output.split())[:500] or "it printed nothing"
