"""The one clock of a run: nanoseconds of CLOCK_MONOTONIC, anchored once to the wall.

Every time stamp inside chaosbench is an ``int`` of nanoseconds from this clock.
Code that waits takes a :class:`Clock`, so that tests run on virtual time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

NS = 1_000_000_000
"""Nanoseconds in a second."""


def to_ns(seconds: float) -> int:
    """Seconds as whole nanoseconds."""
    return round(seconds * NS)


def to_s(nanoseconds: int) -> float:
    """Nanoseconds as seconds, rounded to the microsecond (what reports carry)."""
    return round(nanoseconds / NS, 6)


def iso(date: datetime) -> str:
    """UTC, to the millisecond."""
    return date.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class Anchor:
    """Ties one monotonic instant to one wall-clock instant; made once a run.

    Later steps of the wall clock (NTP, a suspended machine) do not move it.
    """

    monotonic_ns: int
    wall: datetime

    def date(self, at_ns: int) -> datetime:
        """The wall-clock date of a monotonic stamp."""
        return self.wall + timedelta(microseconds=(at_ns - self.monotonic_ns) // 1000)

    def since(self, at_ns: int) -> float:
        """Seconds from the anchor to a monotonic stamp."""
        return to_s(at_ns - self.monotonic_ns)

    def monotonic(self, wall_ns: int) -> int:
        """The monotonic stamp of a wall-clock time in nanoseconds since the epoch."""
        epoch_us = (self.wall - datetime.fromtimestamp(0, UTC)) // timedelta(microseconds=1)
        return self.monotonic_ns + wall_ns - epoch_us * 1000


@dataclass(frozen=True, slots=True)
class Clock:
    """Reads CLOCK_MONOTONIC and sleeps on the event loop.

    ``now`` is a field and not a method: the hot path binds it to a local name.
    """

    now: Callable[[], int] = field(default=time.monotonic_ns)

    async def sleep(self, seconds: float) -> None:
        """Sleep on the running loop (never negative)."""
        await asyncio.sleep(max(0.0, seconds))

    async def sleep_until(self, at_ns: int) -> None:
        """Sleep until the clock reads ``at_ns``; return at once when it already has."""
        await self.sleep((at_ns - self.now()) / NS)

    def anchor(self) -> Anchor:
        """Tie this clock to the wall clock, now."""
        return Anchor(self.now(), datetime.now(UTC))


def loop_clock() -> Clock:
    """A clock that reads the running event loop's own time.

    Under a test loop with virtual time, sleeps then cost nothing and still
    move the clock; in production use ``Clock()``, whose grain is finer.
    """
    loop = asyncio.get_running_loop()
    return Clock(now=lambda: round(loop.time() * NS))
