"""The live view in a terminal, redrawn at most four times a second.

Drawing shares the loop with the load, so the lines are laid out by
``screen.py`` and handed to rich as ready segments: no tables, no wrapping, no
refresh thread. Lines that must not vanish (a fault that could not be healed,
a verdict) are printed above the view and stay.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import TextIO

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

from chaosbench.clock import NS, Anchor, Clock
from chaosbench.events import Event
from chaosbench.recorder.recorder import Recorder
from chaosbench.sinks.interval import Sampler
from chaosbench.sinks.screen import STYLES, Frame, Line
from chaosbench.sinks.view import View
from chaosbench.sinks.wording import say

REDRAW_NS = NS // 4
AT_LEAST_EVERY_S = 1.1
"""A little more than between two ticks, so that ticks do the drawing while there are any."""
_STYLES = {name: Style.parse(style) for name, style in STYLES.items()}


class TerminalSink:
    """Keeps the view up to date from the first event until :meth:`close`."""

    name = "terminal"

    def __init__(self, stream: TextIO, clock: Clock, anchor: Anchor) -> None:
        self._clock = clock
        self._anchor = anchor
        self._console = Console(file=stream, highlight=False)
        self._live: Live | None = None
        self._view = View()
        self._sampler = Sampler()
        self._drawn_ns = 0
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def on_event(self, event: Event) -> None:
        """Take it in; it is drawn at once, or as soon as the last drawing is old enough."""
        self._view.event(event)
        saying = say(event)
        if saying is not None and saying.lasting:
            self._console.print(Text(saying.text, style=_STYLES[saying.tone]), soft_wrap=True)
        wait_ns = self._drawn_ns + REDRAW_NS - self._clock.now()
        if wait_ns <= 0:
            self._draw()
        else:
            self._draw_in(wait_ns / NS)

    def on_tick(self, recorder: Recorder) -> None:
        """Sample the recorder and draw."""
        self._view.tick(recorder, self._sampler.sample(recorder, self._clock.now()))
        self._draw()

    def close(self) -> None:
        """Take the view away and give the cursor back."""
        self._closed = True
        self._cancel()
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _draw(self) -> None:
        if self._closed:
            return
        self._drawn_ns = self._clock.now()
        width, height = self._console.size
        # One row stays free: a view as tall as the terminal would scroll it at every drawing.
        lines = _Lines(Frame(self._view, self._drawn_ns, self._anchor, width, height - 1).lines())
        try:
            self._show(lines)
        except Exception:
            # The hub never calls a sink again that raised, so the cursor is given back here.
            self.close()
            raise
        self._draw_in(AT_LEAST_EVERY_S)

    def _show(self, lines: _Lines) -> None:
        if self._live is None:
            self._live = Live(lines, console=self._console, auto_refresh=False, transient=True)
            self._live.start(refresh=True)
        else:
            self._live.update(lines, refresh=True)

    def _draw_in(self, seconds: float) -> None:
        """Draw later, once: elapsed times go on also while nothing happens."""
        self._cancel()
        with suppress(RuntimeError):  # no loop runs: then only events and ticks draw
            self._timer = asyncio.get_running_loop().call_later(seconds, self._draw)

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class _Lines:
    """Laid-out lines as rich segments; rich crops what is too wide and never wraps."""

    def __init__(self, lines: Iterable[Line]) -> None:
        self._lines = lines

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The segments, line by line."""
        for line in self._lines:
            for text, style in line:
                yield Segment(text, _STYLES[style])
            yield Segment.line()
