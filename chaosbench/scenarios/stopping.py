"""Waiting that a request to stop cuts short, and stopping what was started."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Coroutine
from typing import Any, TypeVar

from chaosbench.errors import UndeterminedError

T = TypeVar("T")


async def unless_stopped(work: Coroutine[Any, Any, T], stop: asyncio.Event) -> T:
    """Do what comes before the measurement; UndeterminedError if a stop is asked for first."""
    asked = asyncio.create_task(stop.wait())
    task = asyncio.create_task(work)
    try:
        await asyncio.wait({task, asked}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise UndeterminedError("stopped before the measurement began")
        return task.result()
    finally:
        await stopped(task, asked)


async def sleep_or_stop(seconds: float, *stops: asyncio.Event) -> bool:
    """Sleep, but not past a request to stop, of which there may be several kinds. True if there was one."""
    if any(stop.is_set() for stop in stops):
        return True
    asked = [asyncio.create_task(stop.wait()) for stop in stops]
    try:
        done, _ = await asyncio.wait(
            asked, timeout=seconds if math.isfinite(seconds) else None, return_when=asyncio.FIRST_COMPLETED
        )
        return bool(done)
    finally:
        await stopped(*asked)


async def stopped(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks and wait for their end, also when cancelled meanwhile: they may be healing a fault."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
