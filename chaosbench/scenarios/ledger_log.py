"""``ledger.log``: which rows ended how, appended about once a second, so that a killed soak knows them when it goes on.

Each entry is a head (length and CRC-32 of the rest) and three Roaring bitmaps with the newest id before them. An
entry that was cut short by a kill ends the file. Once rows are settled and that is on disk, a new file begins and the
old one goes.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from pyroaring import BitMap64

from chaosbench.ledger import Ends
from chaosbench.settled import Settled, ids_of, within

ROOM = 1_000_000
"""Ids left out after a kill: none of them can still be on its way to the database under the number of a new one."""

_HEAD = struct.Struct("<II")
_BODY = struct.Struct("<QIII")


def packed(ends: Ends) -> bytes:
    """One entry."""
    parts = []
    for ids in (ends.acked, ends.failed, ends.unknown):
        ids.run_optimize()
        parts.append(ids.serialize())
    body = _BODY.pack(ends.upto, *map(len, parts)) + b"".join(parts)
    return _HEAD.pack(len(body), zlib.crc32(body)) + body


def entries(content: bytes) -> Iterator[Ends]:
    """The entries of a log, up to the first one that is not whole."""
    place = 0
    while place + _HEAD.size <= len(content):
        length, checksum = _HEAD.unpack_from(content, place)
        body = content[place + _HEAD.size : place + _HEAD.size + length]
        if len(body) < length or zlib.crc32(body) != checksum:
            return
        upto, *lengths = _BODY.unpack_from(body)
        at, sets = _BODY.size, []
        for size in lengths:
            sets.append(BitMap64.deserialize(body[at : at + size]))
            at += size
        yield Ends(upto, *sets)
        place += _HEAD.size + length


def replayed(directory: Path) -> Iterator[Ends]:
    """All entries of the logs in a directory, in the order in which they were written."""
    for path in _logs(directory):
        yield from entries(path.read_bytes())


def caught_up(settled: Settled, logged: Iterable[Ends], in_database: int) -> None:
    """Bring what a killed soak had settled up to what its log says, and leave room for ids that nobody wrote down.

    in_database:  the greatest id that a node has
    """
    acked, failed, newest = BitMap64(), BitMap64(), settled.upto
    for ends in logged:
        acked |= ends.acked
        failed |= ends.failed
        newest = max(newest, ends.upto)
    known = settled.upto
    settled.acked |= within(acked, known, newest)
    # What had not ended when chaosbench was killed is as unknown as what ended so.
    settled.unknown |= ids_of([(known + 1, newest)] if newest > known else []) - acked - failed
    settled.attempted += newest - known
    unlogged = ids_of([(newest + 1, max(newest, in_database) + ROOM)])
    settled.unlogged |= unlogged
    settled.unknown |= unlogged
    settled.upto = unlogged.max()


class LedgerLog:
    """Appends to the newest log of a directory. Every method blocks: call it off the loop. Raises OSError."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._file: BinaryIO | None = None

    def append(self, ends: Ends) -> None:
        """Write an entry, and have it on the disk."""
        if self._file is None:
            self._file = self._next().open("ab")
        whole = self._file.tell()
        try:
            self._file.write(packed(ends))
            self._file.flush()
            os.fdatasync(self._file.fileno())
        except OSError:
            # Half an entry would end the file for whoever reads it.
            with suppress(OSError):
                self._file.close()
            with suppress(OSError):
                os.truncate(self._file.name, whole)
            self._file = None
            raise

    def begin_anew(self, pending: Ends) -> None:
        """Everything up to now is elsewhere on disk but these: go on in a new file, and remove the others."""
        old = _logs(self._directory)
        self.close()
        self.append(pending)
        for path in old:
            path.unlink()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _next(self) -> Path:
        numbers = [int(path.stem.rpartition("-")[2]) for path in _logs(self._directory)]
        return self._directory / f"ledger-{max(numbers, default=0) + 1:06d}.log"


def _logs(directory: Path) -> list[Path]:
    return sorted(directory.glob("ledger-*.log"))
