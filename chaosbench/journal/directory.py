"""The journal of one lab on disk: a small file for each fault on each member, and a history of those that are over.

A file is written beside its place, synced, moved there, and the directory
synced: whenever the machine stops there is the old entry or the new one, never
half of one. All of it happens off the event loop.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from chaosbench.errors import PreflightError
from chaosbench.injectors import Injector
from chaosbench.injectors.healing import to_the_end
from chaosbench.injectors.record import Mark
from chaosbench.journal.entries import Deed, Entry, Unreadable, decode, encode, entry_of, revive
from chaosbench.model.cluster import Member
from chaosbench.model.faults import Before

HISTORY_BYTES = 1_000_000
"""A history that has grown beyond this becomes ``history.jsonl.1``, in the place of the one before it."""

T = TypeVar("T")

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Strange:
    """A file among the entries that cannot be used, and why."""

    path: Path
    why: str

    def __str__(self) -> str:
        return (
            f"{self.path} cannot be used: {self.why}. Look what it says was done, put it right by hand "
            f"(`chaosbench lab status`), then: rm {self.path}"
        )


@dataclass(frozen=True, slots=True)
class Open:
    """What is in the journal: faults to be healed, oldest first, and what cannot be read."""

    deeds: tuple[Deed, ...]
    strange: tuple[Strange, ...]


class DiskJournal:
    """A :class:`~chaosbench.injectors.record.Journal` that a crash does not lose.

    directory:  the lab's, see ``place.state_directory``; the entries are below it
    say:        takes a line when an entry could not be brought up to date
    """

    def __init__(self, directory: Path, say: Say = lambda line: None) -> None:
        self.directory = directory
        self._entries = directory / "journal"
        self._history = directory / "history.jsonl"
        self._say = say
        self._mine: dict[str, Entry] = {}

    def prepare(self) -> None:
        """Make the directories, and see that they take a file; PreflightError when they do not."""
        try:
            self._entries.mkdir(parents=True, exist_ok=True)
            for torn in self._entries.glob(".*.new"):
                if not _alive(torn):
                    torn.unlink(missing_ok=True)
            probe = self._entries / f".{os.getpid()}-probe.new"
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            raise PreflightError(
                f"no journal of faults can be kept in {self.directory} ({error.strerror}), and without one a crash "
                "would leave them behind: make it writable, or set XDG_STATE_HOME"
            ) from error

    async def intend(self, fault: str, injector: Injector, member: Member, before: Before) -> str:
        """Have the entry on disk; OSError when that cannot be had, and what is not written cannot be injected."""
        now = datetime.now(UTC)
        words = re.sub(r"[^a-z0-9-]+", "-", f"{fault}-{member.name}".lower())[:80]
        name = f"{now:%Y%m%dT%H%M%S%f}-{words}-{secrets.token_hex(2)}"
        entry = entry_of(
            name,
            fault,
            injector,
            member,
            before,
            pid=os.getpid(),
            engine=os.environ.get("DOCKER_HOST", ""),
            now=_iso(now),
        )
        if revive(decode(encode(entry))).injector != injector:
            raise OSError(f"the settings of {injector.kind} do not survive being written down")
        try:
            await _off_the_loop(lambda: self._write(entry))
        except BaseException:  # cancelled included: it is on disk, but whoever asked does not hear its name
            await _off_the_loop(lambda: self._path(name).unlink(missing_ok=True))
            raise
        self._mine[name] = entry
        return name

    async def mark(self, entry: str, mark: Mark) -> None:
        """Bring an entry of this process up to date; with the last mark it goes into the history.

        One that another process has closed meanwhile (the guard, while this one
        did not answer) is opened again: what is in place now is in place.
        """
        mine = _marked(self._mine[entry], mark)
        self._mine[entry] = mine
        try:
            if mark is Mark.HEALED:
                del self._mine[entry]
                await _off_the_loop(lambda: self.close(mine, "the run"))
            else:
                await _off_the_loop(lambda: self._write(mine))
        except OSError as error:
            self._say(f"the journal in {self.directory} is not up to date ({error.strerror}): {mine} is {mark}")

    @property
    def open_here(self) -> int:
        """Entries of this process that are not healed."""
        return len(self._mine)

    def read(self) -> Open:
        """All entries as they are on disk now. Blocks; what cannot be read is told, and hides no other."""
        deeds: list[Deed] = []
        strange: list[Strange] = []
        for path in sorted(self._entries.glob("*.json")):
            try:
                deeds.append(revive(decode(path.read_bytes())))
            except FileNotFoundError:
                continue  # closed since it was listed
            except (Unreadable, OSError) as error:
                strange.append(Strange(path, str(error)))
        return Open(tuple(deeds), tuple(strange))

    def still_open(self, entry: Entry) -> bool:
        """Whether nobody has closed it yet."""
        return self._path(entry.id).exists()

    def update(self, entry: Entry, mark: Mark) -> None:
        """Mark another process's entry. Blocks; a disk that is full keeps nobody from healing."""
        with suppress(OSError):
            self._write(_marked(entry, mark))

    def close(self, entry: Entry, by: str, note: str = "") -> None:
        """Move an entry into the history. Blocks. In this order: an entry may be there twice, never nowhere."""
        line = json.loads(encode(_marked(entry, Mark.HEALED))) | {"healed_by": by, "note": note}
        with suppress(OSError):  # the history is for people; what is healed must not stay open for its sake
            self._append(json.dumps(line))
        self._path(entry.id).unlink(missing_ok=True)
        _sync(self._entries)

    def history(self) -> Iterator[dict[str, object]]:
        """What was done and undone, oldest first; a line cut short by a crash is left out."""
        for path in (self._history.with_suffix(".jsonl.1"), self._history):
            if not path.exists():
                continue
            for line in path.read_text(encoding="utf-8").splitlines():
                with suppress(ValueError):
                    yield json.loads(line)

    def _append(self, line: str) -> None:
        if self._history.exists() and self._history.stat().st_size > HISTORY_BYTES:
            self._history.replace(self._history.with_suffix(".jsonl.1"))
        with self._history.open("ab") as history:
            # In one write and with a newline before it: a line that was cut short spoils no other.
            history.write(f"\n{line}\n".encode())
            history.flush()
            os.fsync(history.fileno())

    def _write(self, entry: Entry) -> None:
        temporary = self._entries / f".{os.getpid()}-{entry.id}.new"
        try:
            with temporary.open("wb") as file:
                file.write(encode(entry))
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._path(entry.id))
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync(self._entries)

    def _path(self, name: str) -> Path:
        return self._entries / f"{name}.json"


async def _off_the_loop(work: Callable[[], T]) -> T:
    """In a thread, and to its end: a half-told entry is worse than a late cancellation."""
    return await to_the_end(asyncio.to_thread(work))


def _marked(entry: Entry, mark: Mark) -> Entry:
    return replace(entry, mark=mark, marked_at=entry.marked_at | {mark: _iso(datetime.now(UTC))})


def _sync(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _alive(temporary: Path) -> bool:
    """Whether the process that writes this file still runs."""
    pid = temporary.name.lstrip(".").split("-")[0]
    return pid.isdigit() and Path(f"/proc/{pid}").exists()


def _iso(now: datetime) -> str:
    return now.isoformat(timespec="milliseconds")
