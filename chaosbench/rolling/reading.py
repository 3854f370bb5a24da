"""A rolled file read back: its closed parts and the one that is being written, as one stream of lines."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from chaosbench.rolling import parts_of

Note = Callable[[str], None]


def exists(path: Path) -> bool:
    """Whether there is anything of that file: itself, or a part of it."""
    return path.is_file() or bool(parts_of(path))


def lines_of(path: Path, note: Note = lambda text: None) -> Iterator[str]:
    """Every whole line, oldest first, each with its newline; none when there is no such file.

    What is missing is told to ``note``: a line that was cut short when a writer
    was killed, and parts that were deleted to save room.
    """
    before = 0
    for number, part in parts_of(path):
        if number > before + 1:
            note(f"{path.name}: parts {before + 1} to {number - 1} are not there any more")
        before = number
        yield from _whole_lines(part, note)
    yield from _whole_lines(path, note)


def _whole_lines(path: Path, note: Note) -> Iterator[str]:
    torn = False
    try:
        for line in _lines(path):
            torn = not line.endswith(b"\n")
            if not torn:
                yield line.decode("utf-8", errors="replace")
    except (EOFError, zlib.error, gzip.BadGzipFile):
        torn = True
    if torn:
        note(f"{path.name}: its last line was cut short and is left out")


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            yield from file
    except FileNotFoundError:
        packed = path.with_name(path.name + ".gz")  # it was compressed since it was listed
        if path.suffix == ".gz" or not packed.exists():
            return
        with gzip.open(packed) as file:
            yield from file
