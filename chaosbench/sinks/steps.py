"""Work cut into steps, so that the load need not wait for all of it: a generator that yields between them."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import TypeVar

T = TypeVar("T")
Steps = Generator[None, None, T]


def at_once(steps: Steps[T]) -> T:
    """Take all steps."""
    while True:
        try:
            next(steps)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]  # what the generator returns


async def gently(steps: Steps[T]) -> T:
    """Take the steps, and let others run after each."""
    while True:
        try:
            next(steps)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]  # what the generator returns
        await asyncio.sleep(0)
