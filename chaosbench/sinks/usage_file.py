"""``usage.jsonl``: what chaosbench itself uses, one JSON object every ten seconds of the measurement.

``at_s`` counts from the start of the measurement; ``rss_bytes`` is memory in RAM, ``fds`` open file descriptors,
``tasks`` the event loop's tasks, ``threads`` and ``cpu_s`` the process's.
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from pathlib import Path

from chaosbench.clock import NS, to_s
from chaosbench.events import Event, Kind
from chaosbench.recorder.recorder import Recorder
from chaosbench.rolling import Rolled
from chaosbench.rolling.writer import RollingFile

USAGE = "usage.jsonl"
EVERY_NS = 10 * NS


def used() -> dict[str, float]:
    """What this process uses now. It costs about 0.1 ms."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return {
        "rss_bytes": pages * os.sysconf("SC_PAGE_SIZE"),
        "fds": sum(1 for _ in Path("/proc/self/fd").iterdir()) - 1,  # one is this look's own
        "tasks": _tasks(),
        "threads": threading.active_count(),
        "cpu_s": round(time.process_time(), 3),
    }


def _tasks() -> int:
    try:
        return len(asyncio.all_tasks())
    except RuntimeError:
        return 0  # no loop runs


class UsageFile:
    """Writes a line every ten seconds, warm-up left out.

    While the disk is full nothing is written. Raises ``OSError`` when the file cannot be opened, or not be written
    for another reason; the hub then drops this sink.
    """

    name = "usage"

    def __init__(self, path: Path, rolled: Rolled | None = None) -> None:
        self._file = RollingFile(path, rolled)
        self._measuring = False
        self._due_ns = 0

    def on_event(self, event: Event) -> None:
        """The measurement begins when the stage does."""
        if event.kind is Kind.STAGE:
            self._measuring = event.data["name"] == "load"

    def on_tick(self, recorder: Recorder) -> None:
        """Write a line when one is due."""
        now_ns = recorder.clock.now()
        if not self._measuring or now_ns < self._due_ns:
            return
        self._due_ns = now_ns + EVERY_NS
        line = {"at_s": to_s(now_ns - recorder.started_ns), **used()}
        self._file.write(json.dumps(line) + "\n", now_ns)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
