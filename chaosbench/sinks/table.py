"""The catalogue: every sink that watches a scenario. A new one is one file and one line here.

The Prometheus sink is not among them: it serves the whole run, and the daemon starts and stops it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from chaosbench.clock import Anchor, Clock
from chaosbench.events import Event
from chaosbench.model.containers import ContainerUse
from chaosbench.recorder.recorder import Recorder
from chaosbench.rolling import Rolled
from chaosbench.sinks import Sink
from chaosbench.sinks.containers_file import CONTAINERS, ContainersFile
from chaosbench.sinks.events_file import EVENTS, EventsFile
from chaosbench.sinks.interval_log import INTERVALS, IntervalLog
from chaosbench.sinks.notices import FilesTold
from chaosbench.sinks.plain import PlainSink
from chaosbench.sinks.samples_file import SAMPLES, SamplesFile
from chaosbench.sinks.terminal import TerminalSink
from chaosbench.sinks.usage_file import USAGE, UsageFile


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What sinks are made from.

    stream:     where progress is shown
    directory:  the scenario's directory; it exists
    samples:    whether a row of every operation is kept
    containers: what the members' containers use now
    rolled:     what the files share that grow with the run
    say:        tells everybody of an event
    """

    clock: Clock
    anchor: Anchor
    stream: TextIO
    directory: Path
    samples: bool = False
    containers: Callable[[], Mapping[str, ContainerUse]] = dict
    rolled: Rolled = field(default_factory=Rolled)
    say: Callable[..., None] = lambda kind, **data: None


def can_draw(stream: TextIO) -> bool:
    """Whether the stream is a terminal that can move its cursor and show the view's characters."""
    encoding = (getattr(stream, "encoding", None) or "").lower().replace("-", "")
    return stream.isatty() and encoding == "utf8" and os.environ.get("TERM", "dumb") not in ("dumb", "unknown", "")


def _progress(setting: Setting) -> Sink:
    chosen = TerminalSink if can_draw(setting.stream) else PlainSink
    return chosen(setting.stream, setting.clock, setting.anchor)


def _samples(setting: Setting) -> Sink | None:
    return SamplesFile(setting.directory / SAMPLES, setting.anchor, setting.rolled) if setting.samples else None


SINKS: Mapping[str, Callable[[Setting], Sink | None]] = {
    "events": lambda setting: EventsFile(setting.directory / EVENTS, setting.anchor, setting.rolled),
    "intervals": lambda setting: IntervalLog(setting.directory / INTERVALS, setting.anchor, setting.rolled),
    "containers": lambda setting: ContainersFile(
        setting.directory / CONTAINERS, setting.anchor, setting.containers, setting.rolled
    ),
    "usage": lambda setting: UsageFile(setting.directory / USAGE, setting.rolled),
    "samples": _samples,
    "progress": _progress,
    "files": lambda setting: FilesTold(setting.rolled, setting.say),
}
"""By the name that the CLI knows them by; made in this order. None: not asked for."""


def sinks_of(setting: Setting) -> list[Sink]:
    """Every sink that is asked for. One whose file cannot be opened costs that file, and not the scenario."""
    found: list[Sink] = []
    for name, make in SINKS.items():
        try:
            sink = make(setting)
        except OSError as error:
            sink = _Unopened(name, error)
        if sink is not None:
            found.append(sink)
    return found


@dataclass(slots=True)
class _Unopened:
    """Stands in for a sink that could not be made: fails at the first event, so that the hub drops it and says why."""

    name: str
    error: OSError

    def on_event(self, event: Event) -> None:
        raise self.error

    def on_tick(self, recorder: Recorder) -> None:
        raise self.error

    def close(self) -> None:
        """There is nothing to close."""
