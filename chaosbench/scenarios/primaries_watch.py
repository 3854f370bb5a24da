"""Who is out of recovery, asked of every node about once a second while a scenario runs."""

from __future__ import annotations

from collections.abc import Callable

from chaosbench.clock import Clock
from chaosbench.direct import Answer, Ask
from chaosbench.primaries import DoublePrimary, Primaries

PERIOD_S = 1.0


class PrimariesWatch:
    """Looks for two primaries at once, and learns the nodes' addresses.

    found:  called with every episode that begins
    named:  called with a node's address and its name
    """

    def __init__(
        self, ask: Ask, clock: Clock, found: Callable[[DoublePrimary], None], named: Callable[[str, str], None]
    ) -> None:
        self._ask = ask
        self._clock = clock
        self._found = found
        self._primaries = Primaries()
        self._named = named

    @property
    def episodes(self) -> tuple[DoublePrimary, ...]:
        """Every time that two nodes were out of recovery at once."""
        return tuple(self._primaries.episodes)

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
                self._named(answer.address, answer.node)
            begun = self._primaries.saw(
                answer.node, answer.asked_ns, answer.answered_ns, primary=answer.primary is True
            )
            if begun is not None:
                self._found(begun)
