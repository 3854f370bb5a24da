"""Writing off the loop, by one thread in order. A disk that takes nothing costs what was to be written, not the run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor


class Writing:
    """``warn`` hears once of each thing that cannot be written, until it can be again."""

    def __init__(self, warn: Callable[[str], None]) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="keeping")
        self._warn = warn
        self._warned: set[str] = set()

    async def tried(self, what: str, write: Callable[[], object]) -> bool:
        """Write; returns when it is done, and whether it could be."""
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, write)
        except OSError as error:
            if what not in self._warned:
                self._warned.add(what)
                self._warn(f"{what} could not be written: {error.strerror}; it is tried again")
            return False
        self._warned.discard(what)
        return True

    def close(self) -> None:
        """Wait for what is being written."""
        self._thread.shutdown()
