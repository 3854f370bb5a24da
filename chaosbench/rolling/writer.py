"""Writes a rolled file, and survives a full disk: nothing half is left, and it goes on when there is room again."""

from __future__ import annotations

import errno
import logging
import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from io import FileIO
from pathlib import Path

from chaosbench.clock import NS
from chaosbench.rolling import News, Rolled, part_of, parts_of
from chaosbench.rolling.packing import expire, pack_all

log = logging.getLogger(__name__)

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
"""What a full disk says. Every other error is one of the file itself, and is raised."""
PROBE_NS = 5 * NS
"""How often is tried whether there is room again."""
_BLOCK = 65_536


class RollingFile:
    """Appends whole lines; see the package for what becomes of them.

    head:  text that every part begins with; given before the first line

    One thread writes at a time. Compressing and deleting is done by a thread of
    its own. Raises ``OSError`` for everything that is not a full disk, also when
    it is opened.
    """

    def __init__(self, path: Path, rolled: Rolled | None = None) -> None:
        self.path = path
        self._rolled = rolled or Rolled()
        self._head = b""
        self._head_due = False
        self._file: FileIO | None = None
        self._size = self._number = 0
        self._begun_ns: int | None = None
        self._full_ns: int | None = None
        self._probe_ns = 0
        self._lost = 0
        self._news: deque[News] = deque(maxlen=1000)
        self._thread: ThreadPoolExecutor | None = None
        _drop_torn_line(path)
        try:
            self._open()
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
        self._rolled.files.append(self)

    @property
    def full(self) -> bool:
        """Whether the disk was full at the last try."""
        return self._full_ns is not None

    def begin(self, head: str) -> None:
        """Have every part begin with this text, and what is written next too."""
        self._head, self._head_due = head.encode(), True

    def write(self, text: str, at_ns: int) -> bool:
        """Append these lines, all or none; False when the disk is full: nothing of them is there then."""
        if self._full_ns is not None and at_ns < self._probe_ns:
            return False
        try:
            self._append((self._head if self._head_due else b"") + text.encode())
        except OSError as error:
            self._undo()
            if error.errno not in NO_ROOM:
                self._let_go()
                raise
            self._no_room(at_ns, error)
            return False
        self._head_due = False
        if self._full_ns is not None:
            self._news.append(News(self.path.name, "room", self._full_ns, at_ns, self._lost))
            self._full_ns, self._lost = None, 0
        if self._begun_ns is None:
            self._begun_ns = at_ns
        limits = self._rolled.limits
        if self._size >= limits.size or at_ns - self._begun_ns >= limits.age * NS:
            self._roll(at_ns)
        return True

    def retry(self) -> None:
        """Try again at the next write, however long ago the last try was: it may be the last chance."""
        self._probe_ns = 0

    def lose(self, lines: int) -> None:
        """Say that so many lines were given up because there was no room for them."""
        self._lost += lines

    def news(self) -> list[News]:
        """What has happened since the last call."""
        found = []
        while self._news:
            found.append(self._news.popleft())
        return found

    def close(self) -> None:
        """Close the file; waits until closed parts are compressed."""
        self._let_go()
        if self._thread is not None:
            self._thread.shutdown()
            self._thread = None

    def _open(self) -> FileIO:
        self._file = opened(self.path)
        self._size = self.path.stat().st_size if self.path.is_file() else 0
        return self._file

    def _append(self, data: bytes) -> None:
        file = self._file or self._open()
        left = memoryview(data)
        while left:
            left = left[file.write(left) or 0 :]
        self._size += len(data)

    def _undo(self) -> None:
        """Take half a line away again. Making a file shorter needs no room."""
        if self._file is not None:
            with suppress(OSError):
                self._file.truncate(self._size)

    def _no_room(self, at_ns: int, error: OSError) -> None:
        if self._full_ns is None:
            self._full_ns = at_ns
            self._news.append(News(self.path.name, "full", at_ns, why=error.strerror or str(error)))
        self._probe_ns = at_ns + PROBE_NS

    def _let_go(self) -> None:
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
            self._file = None

    def _roll(self, at_ns: int) -> None:
        """Close this part and begin the next. A directory that takes no rename leaves everything as it is."""
        # Counted on here: all parts may have been deleted, and no number comes twice.
        self._number = max([self._number, *(number for number, _ in parts_of(self.path))]) + 1
        part = part_of(self.path, self._number)
        try:
            self.path.rename(part)
        except OSError:
            return
        self._let_go()
        self._size, self._begun_ns, self._head_due = 0, None, bool(self._head)
        now = self._rolled.date(at_ns)
        with suppress(OSError):
            os.utime(part, (now, now))
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"rolling {self.path.stem}")
        self._thread.submit(self._tidy, now)

    def _tidy(self, now: float) -> None:
        """In the thread: compress what is closed, then delete what is too old or too much."""
        try:
            pack_all(self.path)
            for why, parts in expire(self.path.parent, self._rolled.keep, now):
                self._news.append(News(self.path.name, "removed", parts=parts, why=why))
        except OSError as error:
            log.warning("closed parts of %s: %s", self.path, error)


def opened(path: Path) -> FileIO:
    """The file, to append to, without a buffer: what could not be written is known at once."""
    return FileIO(path, "a")


def _drop_torn_line(path: Path) -> None:
    """Cut off what an earlier writer that was killed left of its last line."""
    if not path.is_file():
        return
    with path.open("r+b") as file:
        end = file.seek(0, os.SEEK_END)
        at = end
        while at > 0:
            begin = max(0, at - _BLOCK)
            file.seek(begin)
            newline = file.read(at - begin).rfind(b"\n")
            if newline >= 0:
                at = begin + newline + 1
                break
            at = begin
        if at < end:
            file.truncate(at)
