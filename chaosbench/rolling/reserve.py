"""Room kept back on the disk for what is written last: the summary of a run whose own files have filled the disk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

RESERVE = ".reserve"
RESERVE_BYTES = 1_000_000


class Reserve:
    """A file of that size. ``give`` makes room of it; nothing happens where it could not be had."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / RESERVE
        with suppress(OSError):  # the disk is full already: then there is nothing to keep back
            self._take()

    def _take(self) -> None:
        handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.posix_fallocate(handle, 0, RESERVE_BYTES)
        except OSError:
            self._path.unlink(missing_ok=True)
            raise
        finally:
            os.close(handle)

    def give(self) -> None:
        """Let others have the room."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)


@contextmanager
def reserved(directory: Path) -> Iterator[Reserve]:
    """Room for the length of the block."""
    reserve = Reserve(directory)
    try:
        yield reserve
    finally:
        reserve.give()
