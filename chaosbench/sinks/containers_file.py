"""``containers.jsonl``: what every member's container used, one JSON object a second of the measurement.

After an hour only where something happens (``grain.py``): CPU is the mean since the line before. The contract of its
lines is in ``docs/containers.md``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC
from pathlib import Path

from chaosbench.clock import NS, Anchor, iso, to_s
from chaosbench.events import Event, Kind
from chaosbench.model.containers import ContainerUse
from chaosbench.recorder.recorder import Recorder
from chaosbench.rolling import Rolled
from chaosbench.rolling.writer import RollingFile
from chaosbench.sinks.grain import Grain

CONTAINERS = "containers.jsonl"
_LATE_NS = 2 * NS
"""What the engine tells comes within this; a larger difference between the clocks is a step of the engine's."""


class ContainersFile:
    """Writes a line at each tick of the measurement that the grain asks for, warm-up left out.

    Nothing is written while the disk is full; the next line's CPU is the mean over all that time. Raises ``OSError``
    when the file cannot be opened, or not be written for another reason; the hub then drops this sink.
    """

    name = "containers"

    def __init__(
        self,
        path: Path,
        anchor: Anchor,
        uses: Callable[[], Mapping[str, ContainerUse]],
        rolled: Rolled | None = None,
    ) -> None:
        self._anchor = anchor
        self._uses = uses
        self._file = RollingFile(path, rolled)
        self._grain = Grain()
        self._measuring = False
        self._before: Mapping[str, ContainerUse] = {}

    def on_event(self, event: Event) -> None:
        """The measurement begins when the stage does."""
        self._grain.event(event)
        if event.kind is Kind.STAGE and event.data["name"] == "load":
            self._measuring = True
            self._before = dict(self._uses())

    def on_tick(self, recorder: Recorder) -> None:
        """Write the line of this second, if any container told anything since the last."""
        now_ns = recorder.clock.now()
        if not self._measuring or not self._grain.due(now_ns, recorder.started_ns):
            return
        uses = dict(self._uses())
        rows = {name: _row(use, self._before.get(name)) for name, use in sorted(uses.items())}
        if not rows:
            return
        wall = iso(self._anchor.date(now_ns).astimezone(UTC))
        line = {"at_s": to_s(now_ns - recorder.started_ns), "wall": wall, "containers": rows}
        if self._file.write(json.dumps(line) + "\n", now_ns):
            self._before = uses

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
    if before is None or use.wall_ns == before.wall_ns:
        return None
    return round((use.cpu_s - before.cpu_s) * 1e9 / between_ns(before, use), 3)


def between_ns(first: ContainerUse, last: ContainerUse) -> int:
    """Time between two looks: by the engine's own clock, which knows best, unless that was set in between."""
    engine_ns, ours_ns = last.wall_ns - first.wall_ns, last.at_ns - first.at_ns
    return engine_ns if engine_ns > 0 and abs(engine_ns - ours_ns) < _LATE_NS else max(ours_ns, 1)
