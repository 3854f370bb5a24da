"""Who is out of recovery, asked of every node about once a second while a scenario runs."""

from __future__ import annotations

from collections.abc import Callable

from chaosbench.clock import Clock
from chaosbench.direct import Answer, Ask
from chaosbench.primaries import DoublePrimary, Primaries

PERIOD_S = 1.0


class PrimariesWatch:
    """Looks for two primaries at once, and learns the nodes' names by their addresses.

    names:  a node's own address to its name; several names, joined, if more than one node has had it
    """

    def __init__(self, ask: Ask, clock: Clock, found: Callable[[DoublePrimary], None]) -> None:
        self._ask = ask
        self._clock = clock
        self._found = found
        self._primaries = Primaries()
        self._names: dict[str, set[str]] = {}

    @property
    def episodes(self) -> tuple[DoublePrimary, ...]:
        """Every time that two nodes were out of recovery at once."""
        return tuple(self._primaries.episodes)

    def name(self, address: str) -> str:
        """The node that has this address; the address itself as long as nobody is known to."""
        return "|".join(sorted(self._names.get(address, {address})))

    async def run(self) -> None:
        """Ask until cancelled."""
        while True:
            await self.look()
            await self._clock.sleep(PERIOD_S)

    async def look(self) -> None:
        """Ask once, and at once again where more than one node said that it is a primary."""
        self._heard(await self._ask())
        if self._primaries.suspicious:
            self._heard(await self._ask())

    def _heard(self, answers: tuple[Answer, ...]) -> None:
        for answer in answers:
            if answer.address is not None:
                self._names.setdefault(answer.address, set()).add(answer.node)
            begun = self._primaries.saw(
                answer.node, answer.asked_ns, answer.answered_ns, primary=answer.primary is True
            )
            if begun is not None:
                self._found(begun)
