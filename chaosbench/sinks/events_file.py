"""``events.jsonl``: every event of the run, one JSON object a line; the contract is ``docs/events.md``."""

from __future__ import annotations

import errno
import json
import os
from collections import deque
from collections.abc import Mapping
from datetime import UTC
from pathlib import Path

from chaosbench.clock import NS, Anchor, iso
from chaosbench.events import Event
from chaosbench.recorder.recorder import Recorder
from chaosbench.rolling import Rolled
from chaosbench.rolling.writer import RollingFile

EVENTS = "events.jsonl"
KEPT = 2000
"""Lines that wait while the disk is full: about 400 kB."""


class EventsFile:
    """Writes events to a file: at once after a quiet second, at the latest with the next tick.

    While the disk is full the last :data:`KEPT` lines wait for room; older ones
    are given up, and ``disk_room`` says how many. Raises ``OSError`` when the
    file cannot be opened or written for another reason, and at the end when
    lines still wait; the hub then drops this sink.
    """

    name = "events"

    def __init__(self, path: Path, anchor: Anchor, rolled: Rolled | None = None) -> None:
        self._anchor = anchor
        self._file = RollingFile(path, rolled)
        self._lines: deque[str] = deque()
        self._flushed_ns = self._last_ns = anchor.monotonic_ns

    def on_event(self, event: Event) -> None:
        """Keep the event's line; write it out unless that was done within the last second."""
        self._lines.append(event_line(event, self._anchor))
        self._last_ns = max(self._last_ns, event.at_ns)
        if len(self._lines) > KEPT:
            self._lines.popleft()
            self._file.lose(1)
        if event.at_ns - self._flushed_ns >= NS:
            self._flush(event.at_ns)

    def on_tick(self, recorder: Recorder) -> None:
        """Write out what was kept."""
        self._flush(recorder.clock.now())

    def close(self) -> None:
        """Write out what was kept, and close the file."""
        try:
            self._file.retry()
            self._flush(self._last_ns)
            if self._lines:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            self._file.close()

    def _flush(self, now_ns: int) -> None:
        self._flushed_ns = self._last_ns = max(now_ns, self._last_ns)
        if self._lines and self._file.write("".join(self._lines), now_ns):
            self._lines.clear()


def event_line(event: Event, anchor: Anchor) -> str:
    """An event as a line of JSON; stamps of the run's clock (``*_ns``) become seconds since the anchor (``*_s``)."""
    wall = iso(anchor.date(event.at_ns).astimezone(UTC))
    row = {"t": anchor.since(event.at_ns), "wall": wall, "kind": event.kind.value}
    return json.dumps(row | _plain(event.data, anchor), default=str, ensure_ascii=False) + "\n"


def _plain(data: Mapping[str, object], anchor: Anchor) -> dict[str, object]:
    result: dict[str, object] = {}
    for key, value in data.items():
        if key.endswith("_ns") and (value is None or isinstance(value, int)):
            result[key[:-3] + "_s"] = None if value is None else anchor.since(value)
        elif isinstance(value, Mapping):
            result[key] = _plain(value, anchor)
        else:
            result[key] = value
    return result
