"""Progress as plain lines, for a pipe, a log or CI: one per event of interest, and the load's state every 5 s."""

from __future__ import annotations

from typing import TextIO

from chaosbench.clock import NS, Anchor, Clock
from chaosbench.events import Event, Kind
from chaosbench.outcome import Outcome
from chaosbench.recorder.recorder import Recorder
from chaosbench.sinks.interval import Interval, Sampler
from chaosbench.sinks.wording import Saying, latency, say

EVERY_NS = 5 * NS
"""Time between two status lines, and between two complaints about the generator."""
_SLACK_NS = NS // 4
"""Ticks come about once a second; one that is a little early still counts."""


class PlainSink:
    """Writes lines that begin with the seconds since the run began, as ``t`` in ``events.jsonl``."""

    name = "plain"

    def __init__(self, stream: TextIO, clock: Clock, anchor: Anchor) -> None:
        self._stream = stream
        self._clock = clock
        self._anchor = anchor
        self._sampler = Sampler()
        self._status_ns = clock.now()
        self._suspect_ns: int | None = None
        self._last: Saying | None = None

    def on_event(self, event: Event) -> None:
        """One line, if the event has one; lateness at most every 5 s."""
        if event.kind is Kind.GENERATOR_SUSPECT:
            if self._suspect_ns is None or event.at_ns - self._suspect_ns >= EVERY_NS:
                self._suspect_ns = event.at_ns
                self._write(event.at_ns, f"! generator {event.data['lag_ms']:.0f} ms late: latencies are suspect")
            return
        saying = say(event)
        if saying is not None and saying != self._last:
            self._last = saying
            mark = "! " if saying.tone in ("warn", "bad") else ""
            self._write(event.at_ns, mark + saying.text)

    def on_tick(self, recorder: Recorder) -> None:
        """A status line, when 5 s have passed."""
        now_ns = self._clock.now()
        if now_ns - self._status_ns + _SLACK_NS < EVERY_NS:
            return
        self._status_ns = now_ns
        self._write(now_ns, status(self._sampler.sample(recorder, now_ns), recorder.leader))

    def close(self) -> None:
        """Nothing is kept back: every line was written at once."""

    def _write(self, at_ns: int, text: str) -> None:
        self._stream.write(f"{self._anchor.since(at_ns):.1f}s  {text}\n")
        self._stream.flush()


def status(interval: Interval, leader: str | None) -> str:
    """The load in one line: rates and latencies of the interval, and what did not end ok in it."""
    load = interval.load
    ended = "  ".join(f"{o} {load.ended[o]}" for o in (Outcome.FAILED, Outcome.UNKNOWN, Outcome.SHED))
    # No thousands separators here: these lines are also read by awk.
    return (
        f"ok {load.ok:.0f}/s  p50 {latency(load.p50_ms)}  p99 {latency(load.p99_ms)}  "
        f"{ended}  leader {leader or 'none'}"
    )
