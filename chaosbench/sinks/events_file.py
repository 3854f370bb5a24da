"""``events.jsonl``: every event of the run, one JSON object a line; the contract is ``docs/events.md``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC
from pathlib import Path

from chaosbench.clock import NS, Anchor
from chaosbench.events import Event
from chaosbench.recorder.recorder import Recorder


class EventsFile:
    """Writes events to a file: at once after a quiet second, at the latest with the next tick.

    Raises ``OSError`` when the file cannot be opened or the disk is full; the
    hub then drops this sink. What was written before stays readable: only the
    last line may be cut short, and then it has no newline.
    """

    name = "events"

    def __init__(self, path: Path, anchor: Anchor) -> None:
        self._anchor = anchor
        self._file = path.open("a", encoding="utf-8")
        self._lines: list[str] = []
        self._flushed_ns = anchor.monotonic_ns

    def on_event(self, event: Event) -> None:
        """Keep the event's line; write it out unless that was done within the last second."""
        self._lines.append(event_line(event, self._anchor))
        if event.at_ns - self._flushed_ns >= NS:
            self._flushed_ns = event.at_ns
            self._flush()

    def on_tick(self, recorder: Recorder) -> None:
        """Write out what was kept."""
        self._flushed_ns = recorder.clock.now()
        self._flush()

    def close(self) -> None:
        """Write out what was kept, and close the file."""
        self._flush()
        self._file.close()

    def _flush(self) -> None:
        if not self._lines:
            return
        text = "".join(self._lines)
        self._lines.clear()
        try:
            self._file.write(text)
            self._file.flush()
        except OSError:
            # The hub never calls a sink again that raised, so the file is let go of here.
            with suppress(OSError):
                self._file.close()
            raise


def event_line(event: Event, anchor: Anchor) -> str:
    """An event as a line of JSON; stamps of the run's clock (``*_ns``) become seconds since the anchor (``*_s``)."""
    wall = anchor.date(event.at_ns).astimezone(UTC).isoformat(timespec="milliseconds")
    row = {"t": anchor.since(event.at_ns), "wall": wall.replace("+00:00", "Z"), "kind": event.kind.value}
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
