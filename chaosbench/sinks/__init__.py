"""Sinks: whoever wants to see a run. Each is one file; the table that names them is in ``table.py``.

A sink is told of events and, about once a second, shown the recorder. It must
return quickly and never wait: it runs on the loop that carries the load. A sink
that raises is disabled and the run goes on (``hub.py``).
"""

from __future__ import annotations

from typing import Protocol

from chaosbench.events import Event
from chaosbench.recorder.recorder import Recorder


class Sink(Protocol):
    """Something that watches a run.

    ``close`` is called once, also after an error; it flushes what is left.
    """

    name: str

    def on_event(self, event: Event) -> None:
        """Something happened."""
        ...

    def on_tick(self, recorder: Recorder) -> None:
        """About once a second while the load runs; ``recorder`` is live and must not be changed."""
        ...

    def close(self) -> None:
        """The run is over."""
        ...
