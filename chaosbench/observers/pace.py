"""How often observers look: quickly while a fault or its consequences last, seldom otherwise."""

from __future__ import annotations

import asyncio
from collections import Counter

from chaosbench.clock import NS, Clock, to_ns

SLOW_S = 1.0


class Pace:
    """Shared by all observers of a scenario.

    Quick ticks fall on multiples of their period, so that observers wake
    together and the event loop is woken once for all of them.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._wake = asyncio.Event()
        self._started_ns = clock.now()
        self._quick_since_ns: int | None = None
        self._quick_ns = 0
        self._asked: Counter[tuple[str, bool]] = Counter()

    @property
    def quick(self) -> bool:
        """Whether to look often now."""
        return self._quick_since_ns is not None

    def hasten(self) -> None:
        """Look often from now on."""
        if self._quick_since_ns is None:
            self._quick_since_ns = self._clock.now()
            self._wake.set()

    def nudge(self) -> None:
        """Everybody looks once, now: something is odd."""
        self._wake.set()
        if not self.quick:
            self._wake.clear()

    def relax(self) -> None:
        """Look seldom from now on."""
        if self._quick_since_ns is not None:
            self._quick_ns += self._clock.now() - self._quick_since_ns
            self._quick_since_ns = None
            self._wake.clear()

    async def tick(self, period: float, slow: float = SLOW_S) -> None:
        """Return at the next multiple of ``period`` while quick; else after ``slow`` seconds, or when that changes."""
        if not self.quick:
            try:
                async with asyncio.timeout(slow):
                    await self._wake.wait()
            except TimeoutError:
                pass
            return
        step_ns = to_ns(period)
        # Timers of the loop may fire up to a millisecond early: that tick was this one, not the one before.
        await self._clock.sleep_until(((self._clock.now() + step_ns // 4) // step_ns + 1) * step_ns)

    def asked(self, source: str) -> None:
        """Count one question put to the cluster."""
        self._asked[source, self.quick] += 1

    def rates(self, source: str) -> tuple[float, float]:
        """Questions a second of one source: while quick, and otherwise."""
        now_ns = self._clock.now()
        quick_ns = self.quick_ns
        return tuple(  # type: ignore[return-value]  # two of them
            round(self._asked[source, quick] * NS / length_ns, 1) if length_ns > 0 else 0.0
            for quick, length_ns in ((True, quick_ns), (False, now_ns - self._started_ns - quick_ns))
        )

    @property
    def quick_ns(self) -> int:
        """How long observers looked often, so far."""
        still_ns = 0 if self._quick_since_ns is None else self._clock.now() - self._quick_since_ns
        return self._quick_ns + still_ns
