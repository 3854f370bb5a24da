"""What the fake cluster answers when something is done in or beside a member: whatever the test says."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from chaosbench.errors import FaultError
from chaosbench.model.cluster import Executed, Helper, Member, RunState


class FakeDeeds:
    """The half of the fake cluster that keeps what it was asked to do.

    inspections:     what ``inspect`` tells of a member; limits and networks are kept there
    executed:        commands run in or beside a member, by its name; ``answer`` says how they end
    stations:        helper containers that are there
    asked:           requests to a member's Patroni; ``patroni_answer`` says what it answers
    """

    states: dict[str, RunState]

    def __init__(self) -> None:
        self.inspections: dict[str, dict[str, Any]] = {}
        self.executed: list[tuple[str, tuple[str, ...]]] = []
        self.answer: Callable[[str, tuple[str, ...]], Executed] = lambda name, command: Executed(0, "")
        self.stations: dict[str, tuple[str, Helper]] = {}
        self.asked: list[tuple[str, str, str, Mapping[str, Any] | None]] = []
        self.patroni_answer: Callable[[str, str, str, Mapping[str, Any] | None], tuple[int, str]] = (
            lambda name, method, path, body: (200, "")
        )

    async def inspect(self, member: Member) -> Mapping[str, Any]:
        """What the test says of it, in ``inspections``."""
        return self.inspections.get(self._known(member), {})

    async def limit(self, member: Member, limits: Mapping[str, int]) -> None:
        """Kept in what ``inspect`` tells."""
        name = await self._call("limit", member)
        shown = dict(self.inspections.get(name, {}))
        self.inspections[name] = shown | {"HostConfig": {**shown.get("HostConfig", {}), **limits}}

    async def disconnect(self, member: Member, network: str) -> None:
        """Kept in what ``inspect`` tells."""
        name = await self._call("disconnect", member)
        self._networks(name).pop(network)

    async def connect(self, member: Member, network: str, endpoint: Mapping[str, Any]) -> None:
        """Kept in what ``inspect`` tells."""
        name = await self._call("connect", member)
        self._networks(name)[network] = dict(endpoint)

    async def execute(
        self, member: Member, command: Sequence[str], *, user: str = "", timeout: float = 15.0
    ) -> Executed:
        """Kept in ``executed``; answered by ``answer``."""
        name = await self._call("execute", member)
        if self.states[name] is not RunState.RUNNING:
            raise FaultError(f"docker exec in {name}: it is {self.states[name]}")
        self.executed.append((name, tuple(command)))
        return self.answer(name, tuple(command))

    async def assist(self, member: Member, helper: Helper, timeout: float = 20.0) -> Executed:
        """As ``execute``, from a container beside it."""
        name = await self._call("assist", member)
        self.executed.append((name, helper.command))
        return self.answer(name, helper.command)

    async def station(self, member: Member, helper: Helper, name: str, lifetime: float) -> None:
        """It is in ``stations`` from now on, to its own description and the member's name."""
        self.stations[name] = (await self._call("station", member), helper)

    async def stationed(self, name: str) -> RunState | None:
        """Whether it is in ``stations``."""
        return RunState.RUNNING if name in self.stations else None

    async def instruct(self, name: str, command: Sequence[str], timeout: float = 10.0) -> Executed:
        """As ``execute``, from the helper of that name."""
        if name not in self.stations:
            raise FaultError(f"docker exec in {name}: no such container")
        member = self.stations[name][0]
        self.executed.append((member, tuple(command)))
        return self.answer(member, tuple(command))

    async def dismiss(self, name: str, grace: float = 10.0) -> None:
        """It is in ``stations`` no more."""
        self.stations.pop(name, None)

    async def patroni(
        self, member: Member, method: str, path: str, body: Mapping[str, Any] | None = None, timeout: float = 10.0
    ) -> tuple[int, str]:
        """Kept in ``asked``; answered by ``patroni_answer``."""
        name = await self._call("patroni", member)
        self.asked.append((name, method, path, body))
        return self.patroni_answer(name, method, path, body)

    @abstractmethod
    async def _call(self, verb: str, member: Member) -> str:
        """Note the call, let time pass, raise what the test wants raised; the member's name."""

    @abstractmethod
    def _known(self, member: Member) -> str:
        """The member's name; TargetError for a stranger."""

    def _networks(self, name: str) -> dict[str, Any]:
        shown = self.inspections.setdefault(name, {})
        networks: dict[str, Any] = shown.setdefault("NetworkSettings", {}).setdefault("Networks", {})
        return networks
