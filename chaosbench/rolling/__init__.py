"""Files that grow as long as a run lasts: closed, compressed and numbered piece by piece, and read back as one stream.

``events.jsonl`` is the file that is written now. Once it has grown to
``Limits.size`` bytes, or is ``Limits.age`` seconds old, it becomes
``events-0001.jsonl``, and soon after that ``events-0001.jsonl.gz``; then comes
``events-0002``, and so on. The name is the whole manifest: the numbers give the
order, a number that is missing at the beginning was deleted (``Keep``). A run
that stays below the limits has one plain file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from chaosbench.errors import UsageError
from chaosbench.units import parse_duration, parse_size

PART = re.compile(r"(?P<stem>[a-z]+)-(?P<number>\d{4,})(?P<suffix>\.(?:jsonl|hlog|parquet))(?P<packed>\.gz)?")
"""The name of a part that is closed."""


@dataclass(frozen=True, slots=True)
class Limits:
    """When a file is closed and the next one begun: bytes, and seconds since its first line."""

    size: int = 8_000_000
    age: float = 86_400.0


@dataclass(frozen=True, slots=True)
class Keep:
    """How long closed parts are kept: seconds since they were closed, and bytes of all of a directory's. None: all."""

    age: float | None = None
    size: int | None = None


KEEP_ALL = Keep()


def keep_of(texts: Sequence[str]) -> Keep:
    """What ``--keep 7d --keep 2GB`` asks for. UsageError when one of them is neither an age nor a size."""
    age, size = None, None
    for text in texts:
        try:
            if text.rstrip().endswith("B"):
                size = parse_size(text)
            else:
                age = parse_duration(text)
        except ValueError:
            raise UsageError(f"--keep {text}: write an age, as in 7d, or a size of all parts, as in 2GB") from None
    return Keep(age, size)


@dataclass(frozen=True, slots=True)
class News:
    """Something a person should know of a file.

    what:      ``full``: nothing could be written since ``since_ns``; ``room``: it is written again;
               ``removed``: parts were deleted, because of ``why``
    lost:      lines that had to be dropped meanwhile
    """

    file: str
    what: str
    since_ns: int = 0
    until_ns: int = 0
    lost: int = 0
    parts: tuple[str, ...] = ()
    why: str = ""


class Told(Protocol):
    """A file that tells what happens to it."""

    def news(self) -> list[News]:
        """What has happened since the last call."""
        ...


@dataclass(slots=True)
class Rolled:
    """What the files of one directory share.

    date:   seconds since the epoch of a stamp of the run's clock; parts are dated by it, whatever the wall clock does
    files:  every file that was opened with it
    """

    limits: Limits = Limits()
    keep: Keep = Keep()
    date: Callable[[int], float] = field(default=lambda at_ns: at_ns / 1e9)
    files: list[Told] = field(default_factory=list)

    def news(self) -> list[News]:
        """What has happened to the files since the last call."""
        return [news for file in self.files for news in file.news()]


def part_of(path: Path, number: int) -> Path:
    """The name of a file's closed part, before it is compressed."""
    return path.with_name(f"{path.stem}-{number:04d}{path.suffix}")


def parts_of(path: Path) -> list[tuple[int, Path]]:
    """The closed parts of a file, oldest first, with their numbers; of one that is there twice the compressed one."""
    found: dict[int, Path] = {}
    try:
        names = sorted(one.name for one in path.parent.iterdir())
    except FileNotFoundError:
        return []
    for name in names:  # "x.gz" comes after "x" and takes its place
        match = PART.fullmatch(name)
        if match and (match["stem"], match["suffix"]) == (path.stem, path.suffix):
            found[int(match["number"])] = path.with_name(name)
    return sorted(found.items())
