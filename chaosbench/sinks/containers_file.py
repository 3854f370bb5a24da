"""``containers.jsonl``: what every member's container used, one JSON object a second of the measurement.

The contract of its lines is in ``docs/containers.md``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC
from pathlib import Path

from chaosbench.clock import Anchor, to_s
from chaosbench.events import Event, Kind
from chaosbench.model.containers import ContainerUse
from chaosbench.recorder.recorder import Recorder

CONTAINERS = "containers.jsonl"


class ContainersFile:
    """Writes a line at each tick of the measurement, warm-up left out.

    Raises ``OSError`` when the file cannot be opened or the disk is full; the hub then drops this sink.
    """

    name = "containers"

    def __init__(self, path: Path, anchor: Anchor, uses: Callable[[], Mapping[str, ContainerUse]]) -> None:
        self._anchor = anchor
        self._uses = uses
        self._file = path.open("a", encoding="utf-8")
        self._measuring = False
        self._before: Mapping[str, ContainerUse] = {}

    def on_event(self, event: Event) -> None:
        """The measurement begins when the stage does."""
        if event.kind is Kind.STAGE and event.data["name"] == "load":
            self._measuring = True
            self._before = dict(self._uses())

    def on_tick(self, recorder: Recorder) -> None:
        """Write the line of this second, if any container told anything since the last."""
        if not self._measuring:
            return
        uses = dict(self._uses())
        rows = {name: _row(use, self._before.get(name)) for name, use in sorted(uses.items())}
        if not rows:
            return
        now_ns = recorder.clock.now()
        wall = self._anchor.date(now_ns).astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line = {"at_s": to_s(now_ns - recorder.started_ns), "wall": wall, "containers": rows}
        self._before = uses
        try:
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()
        except OSError:
            # The hub never calls a sink again that raised, so the file is let go of here.
            with suppress(OSError):
                self._file.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _row(use: ContainerUse, before: ContainerUse | None) -> dict[str, float | int | None]:
    return {
        "cpu": cores(use, before),
        "memory_bytes": use.memory_bytes,
        "cpu_s": round(use.cpu_s, 3),
        "read_bytes": use.read_bytes,
        "written_bytes": use.written_bytes,
        "receive_bytes": use.receive_bytes,
        "transmit_bytes": use.transmit_bytes,
    }


def cores(use: ContainerUse, before: ContainerUse | None) -> float | None:
    """CPU between two looks, in cores; None when nothing new was told."""
    if before is None or use.wall_ns <= before.wall_ns:
        return None
    return round((use.cpu_s - before.cpu_s) * 1e9 / (use.wall_ns - before.wall_ns), 3)
