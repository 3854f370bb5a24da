"""A disk with so much room: files on it are real, and what does not fit is written in part before it says so."""

from __future__ import annotations

import errno
from io import FileIO
from pathlib import Path

import pytest

from chaosbench.rolling import patient, writer


class SmallDisk:
    """Every rolled file that is opened from now on lies on it; ``room`` is what is left, in bytes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
        self.room = room
        monkeypatch.setattr(writer, "opened", lambda path: _File(path, self, "a"))
        monkeypatch.setattr(patient, "FileIO", lambda path, mode: _File(path, self, mode))


class _File(FileIO):
    def __init__(self, path: Path, disk: SmallDisk, mode: str) -> None:
        super().__init__(path, mode)
        self._disk = disk

    def write(self, data: memoryview) -> int:  # type: ignore[override]
        if self._disk.room <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = super().write(data[: self._disk.room]) or 0
        self._disk.room -= written
        return written

    def truncate(self, size: int | None = None) -> int:
        before = self.seek(0, 2)
        after = super().truncate(size)
        self._disk.room += before - after
        return after
