"""A file for a thread that can wait: on a full disk a write stands still until there is room, and nothing is torn."""

from __future__ import annotations

from collections.abc import Callable
from io import FileIO, RawIOBase
from pathlib import Path
from threading import Event
from typing import Any

from chaosbench.clock import NS
from chaosbench.rolling import News
from chaosbench.rolling.writer import NO_ROOM, PROBE_NS


class PatientFile(RawIOBase):
    """What is written into it arrives whole and in order, however long that takes; until :meth:`give_up`.

    probe_s:  how often is tried whether there is room
    full:  since when a write waits for room, on the run's clock
    torn:  whether a write was given up: what is in the file is not whole
    news:  hears when that begins and when it ends; called by the thread that writes
    """

    def __init__(self, path: Path, now: Callable[[], int], news: Callable[[News], None]) -> None:
        super().__init__()
        self._file = FileIO(path, "w")
        self._name = path.name
        self._now = now
        self._news = news
        self._gave_up = Event()
        self.full: int | None = None
        self.torn = False
        self.probe_s = PROBE_NS / NS

    def give_up(self) -> None:
        """Wait no longer: a write that waits for room raises OSError, and so does every later one that would."""
        self._gave_up.set()

    def writable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """Bytes written."""
        return self._file.tell()

    def write(self, data: Any, /) -> int:
        """All of it; blocks while there is no room."""
        left = memoryview(data).cast("B")
        size = len(left)
        while left:
            try:
                left = left[self._file.write(left) or 0 :]
            except OSError as error:
                if error.errno not in NO_ROOM:
                    self.torn = True
                    raise
                self._wait(error)
                continue
            if self.full is not None:
                self._news(News(self._name, "room", self.full, self._now()))
                self.full = None
        return size

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()

    def _wait(self, error: OSError) -> None:
        if self.full is None:
            self.full = self._now()
            self._news(News(self._name, "full", self.full, why=error.strerror or str(error)))
        if self._gave_up.wait(self.probe_s):
            self.torn = True
            raise error
