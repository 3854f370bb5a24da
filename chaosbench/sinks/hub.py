"""Hands events to every sink, and drops a sink that fails."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from chaosbench.clock import Clock
from chaosbench.events import Event, Kind
from chaosbench.recorder.recorder import Recorder
from chaosbench.sinks import Sink

log = logging.getLogger(__name__)


class Hub:
    """The one place where sinks are called."""

    def __init__(self, sinks: Iterable[Sink], clock: Clock) -> None:
        self._sinks = list(sinks)
        self._clock = clock

    def add(self, sink: Sink) -> None:
        """Tell this sink too, from now on."""
        self._sinks.append(sink)

    def remove(self, sink: Sink) -> None:
        """Close a sink and tell it no more; nothing happens if it has failed already."""
        if sink in self._sinks:
            self._each(lambda one: one.close() if one is sink else None)
        if sink in self._sinks:
            self._sinks.remove(sink)

    def emit(self, event: Event) -> None:
        """Tell every sink."""
        self._each(lambda sink: sink.on_event(event))

    def say(self, kind: Kind, **data: object) -> None:
        """Tell every sink of something that happened now."""
        self.emit(Event(self._clock.now(), kind, data))

    def tick(self, recorder: Recorder) -> None:
        """Show every sink the recorder."""
        self._each(lambda sink: sink.on_tick(recorder))

    def close(self) -> None:
        """Close every sink, however many of them fail."""
        while self._sinks:
            self.remove(self._sinks[0])

    def _each(self, call: Callable[[Sink], None]) -> None:
        failures = []
        for sink in tuple(self._sinks):
            try:
                call(sink)
            except Exception as error:  # a sink is an observer: whatever it raises must not end the run
                if sink in self._sinks:
                    self._sinks.remove(sink)
                log.exception("sink %s failed and is disabled", sink.name)
                failures.append((sink.name, f"{type(error).__name__}: {error}"))
        # Told afterwards, so that the others hear first of what happened and then of who failed over it.
        for name, text in failures:
            self.say(Kind.SINK_FAILED, sink=name, error=text)
