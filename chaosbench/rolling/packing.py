"""Closed parts: compressed, and deleted when they are too old or too many. Blocks; meant for a thread of its own."""

from __future__ import annotations

import gzip
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from chaosbench.rolling import PART, Keep, parts_of

_PIECE = 65_536
_BREATH_S = 0.0005
"""Compressing a piece takes about 2 ms, without the interpreter's lock; then whoever waited may go on."""


def pack_all(path: Path) -> None:
    """Compress every closed part of a file that is not yet; one that finds no room stays for the next time."""
    for _, part in parts_of(path):
        if part.suffix == ".gz":
            part.with_suffix("").unlink(missing_ok=True)  # somebody was killed between the two steps
        if part.suffix in (".gz", ".parquet"):
            continue
        try:
            _pack(part)
        except OSError:
            return


def _pack(part: Path) -> None:
    """There is the plain part, or the whole compressed one; for a moment both, never half of one."""
    packed = part.with_name(part.name + ".gz")
    partial = packed.with_name(packed.name + ".partial")
    stat = part.stat()
    try:
        with part.open("rb") as source, gzip.open(partial, "wb", compresslevel=6) as target:
            while piece := source.read(_PIECE):
                target.write(piece)
                time.sleep(_BREATH_S)
        os.utime(partial, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        partial.replace(packed)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    part.unlink()


def expire(directory: Path, keep: Keep, now: float) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Delete the oldest closed parts of a directory, whatever file they are of; tells which, and why."""
    parts = sorted(_closed(directory))
    if keep.age is not None:
        old = [part for part in parts if now - part.closed > keep.age]
        parts = parts[len(old) :]
        if old:
            yield f"older than {keep.age / 3600:g} h", _removed(old)
    if keep.size is None:
        return
    over, number = sum(part.size for part in parts) - keep.size, 0
    while over > 0 and number < len(parts):
        over -= parts[number].size
        number += 1
    if number:
        yield f"more than {keep.size / 1e6:g} MB", _removed(parts[:number])


class _Closed(NamedTuple):
    """A closed part: when it was closed (seconds since the epoch), its name and size."""

    closed: float
    name: str
    size: int
    path: Path


def _closed(directory: Path) -> Iterator[_Closed]:
    for one in directory.iterdir():
        if PART.fullmatch(one.name):
            with suppress(FileNotFoundError):  # the thread of another file deletes in here too
                stat = one.stat()
                yield _Closed(stat.st_mtime, one.name, stat.st_size, one)


def _removed(parts: Sequence[_Closed]) -> tuple[str, ...]:
    for part in parts:
        part.path.unlink(missing_ok=True)
    return tuple(part.name for part in parts)
