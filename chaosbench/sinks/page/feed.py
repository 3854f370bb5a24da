"""Server-sent events, every browser at its own pace.

A browser has a mailbox: the rows of the chart that it has not been sent, at most
``ROWS_KEPT``. The state beside them is not queued at all, the latest is sent. So
a browser that is slow, asleep or gone costs the run a few kilobytes; what it
missed is made good by sending the whole history when it is ready again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import contextmanager

from chaosbench.sinks.page.history import Kept

READERS = 32
"""Browsers at the same time."""

ROWS_KEPT = 30
BREATH_S = 0.1
"""News that come together are sent together."""

PING_S = 15.0
PIECE = 10
"""Rows made into JSON in one go: about half a millisecond."""


class Full(Exception):
    """There are enough browsers already."""


class Mailbox:
    """What one browser has not been sent yet. ``behind``: it needs the whole history."""

    def __init__(self) -> None:
        self.rows: list[Kept] = []
        self.behind = True
        self.news = asyncio.Event()
        self.news.set()

    def put(self, row: Kept | None) -> None:
        """There is news, perhaps with a new row; never waits."""
        if row is not None and not self.behind:
            if len(self.rows) < ROWS_KEPT:
                self.rows.append(row)
            else:
                self.rows.clear()
                self.behind = True
        self.news.set()


class Feed:
    """Tells every browser. ``state`` is asked for the page's state as JSON, ``history`` for all rows so far."""

    def __init__(self, state: Callable[[], str], history: Callable[[], Iterable[Kept]]) -> None:
        self._state = state
        self._history = history
        self._mailboxes: set[Mailbox] = set()
        self._text = ""
        self._closed = False

    @property
    def watched(self) -> int:
        """Browsers that are looking now."""
        return len(self._mailboxes)

    def publish(self, row: Kept | None = None) -> None:
        """The state is new, and perhaps there is one more row."""
        self._text = ""
        for mailbox in self._mailboxes:
            mailbox.put(row)

    def restart(self) -> None:
        """The history begins anew: everybody needs all of it."""
        self._text = ""
        for mailbox in self._mailboxes:
            mailbox.rows.clear()
            mailbox.behind = True
            mailbox.news.set()

    def close(self) -> None:
        """The run is over: whatever is still to be told is told, then the streams end."""
        self._closed = True
        for mailbox in self._mailboxes:
            mailbox.news.set()

    async def messages(self) -> AsyncGenerator[bytes, None]:
        """One browser's stream. Raises :class:`Full`."""
        with self._mailbox() as mailbox:
            while True:
                try:
                    async with asyncio.timeout(PING_S):
                        await mailbox.news.wait()
                except TimeoutError:
                    yield b": nothing new\n\n"
                    continue
                if not self._closed:
                    await asyncio.sleep(BREATH_S)
                closed = self._closed
                mailbox.news.clear()
                async for part in self._message(mailbox):
                    yield part
                if closed:
                    yield b"event: end\ndata: {}\n\n"
                    return

    @contextmanager
    def _mailbox(self) -> Iterator[Mailbox]:
        if len(self._mailboxes) >= READERS:
            raise Full
        mailbox = Mailbox()
        self._mailboxes.add(mailbox)
        try:
            yield mailbox
        finally:
            self._mailboxes.discard(mailbox)

    async def _message(self, mailbox: Mailbox) -> AsyncGenerator[bytes, None]:
        """One message, in parts: a whole history takes longer to encode than the load should wait."""
        kind, rows = "now", mailbox.rows
        if mailbox.behind:
            kind, rows = "history", list(self._history())
            mailbox.behind = False
        mailbox.rows = []
        yield f'event: {kind}\ndata: {{"rows":['.encode()
        for start in range(0, len(rows), PIECE):
            await asyncio.sleep(0)
            text = ",".join(row.text for row in rows[start : start + PIECE])
            yield f"{',' if start else ''}{text}".encode()
        await asyncio.sleep(0)
        self._text = self._text or self._state()
        yield f'],"state":{self._text}}}\n\n'.encode()
