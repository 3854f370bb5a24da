"""``intervals.hlog``: latencies second by second, in the format that HdrHistogram's own tools open.

The interval log of HdrHistogram (format 1.3): a head of comments, then one line
an interval and tag, whose last field is HdrHistogram's own compressed encoding,
made by HdrHistogram_py. Values are microseconds; ``Interval_Max`` is in
milliseconds; times are seconds since the base time in the head, which is the
start of the measurement. Tags are ``<class>-<ok|all>-<response|service>``, such
as ``write-all-response``; a tag without operations in an interval has no line.
An operation is in the interval in which it ended. The intervals of one tag add
up, bucket for bucket, to the totals in ``summary.json``.

HdrHistogram_py's own log writer knows no tags, and its start time cannot be written.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from chaosbench.clock import Anchor, to_s
from chaosbench.events import Event, Kind
from chaosbench.histogram import Histogram, merged
from chaosbench.outcome import OpClass
from chaosbench.recorder.recorder import Recorder
from chaosbench.recorder.tally import Tally

LEGEND = '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"'
_BREATH_S = 0.0005
"""Pause after each line. Encoding one takes up to 1 ms, a whole tick's 15 ms, and the load must not wait so long."""


@dataclass(frozen=True, slots=True)
class Counted:
    """One tally's four histograms as they were at a tick."""

    op_class: OpClass
    response: Histogram
    service: Histogram
    response_bad: Histogram
    service_bad: Histogram


class IntervalLog:
    """Writes what was counted since the last tick; begins with the measurement, not with the warm-up.

    A tick copies counts (0.01 ms a histogram); a thread of its own encodes and
    writes. ``OSError`` when the file cannot be opened, or at the tick after one
    that could not be written (a full disk): the hub then drops this sink. What
    was written before stays readable.
    """

    name = "intervals"

    def __init__(self, path: Path, anchor: Anchor) -> None:
        self._anchor = anchor
        self._file = path.open("a", encoding="ascii")  # a soak that goes on adds to its own
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="intervals")
        self._writing: Future[None] | None = None
        self._log = _Log(self._file)
        self._measuring = False
        self._recorder: Recorder | None = None
        self._from_ns = 0

    def on_event(self, event: Event) -> None:
        """The measurement begins when the stage does; what is counted before is warm-up."""
        if event.kind is Kind.STAGE and event.data["name"] == "load":
            self._measuring = True

    def on_tick(self, recorder: Recorder) -> None:
        """Have the interval since the last tick written; waits for the last one only if that is still not done."""
        if not self._measuring:
            return
        self._check()
        if self._recorder is None:
            self._recorder, self._from_ns = recorder, recorder.began_ns
            if not self._file.tell():
                self._file.write(_head(self._anchor, recorder.started_ns))
        now_ns = recorder.clock.now()
        times = f"{to_s(self._from_ns - recorder.started_ns):.6f},{to_s(now_ns - self._from_ns):.6f}"
        self._from_ns = now_ns
        self._writing = self._thread.submit(self._log.write, times, [_counted(tally) for tally in recorder.tallies])

    def close(self) -> None:
        """Write what came after the last tick, and close the file."""
        try:
            if self._recorder is not None:
                self.on_tick(self._recorder)
                self._check()
        finally:
            self._end()

    def _check(self) -> None:
        writing, self._writing = self._writing, None
        if writing is None:
            return
        try:
            writing.result()
        except Exception:
            # The hub never calls a sink again that raised, so the file is let go of here.
            self._end()
            raise

    def _end(self) -> None:
        self._thread.shutdown()
        self._file.close()


class _Log:
    """Turns totals into intervals and writes them; used by one thread alone."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._seen: dict[str, Histogram] = {}

    def write(self, times: str, counted: list[Counted]) -> None:
        for tag, total in totals(counted):
            seen = self._seen.get(tag)
            self._seen[tag] = total
            interval = total if seen is None else total.since(seen)
            if interval.total:
                self._file.write(line(tag, times, interval))
            time.sleep(_BREATH_S)
        self._file.flush()


def line(tag: str, times: str, interval: Histogram) -> str:
    """One line of the log; ``times`` are start and length in seconds."""
    encoded = interval.to_hdr().encode().decode("ascii")
    return f"Tag={tag},{times},{interval.max_us / 1000:.3f},{encoded}\n"


def _head(anchor: Anchor, started_ns: int) -> str:
    date = anchor.date(started_ns)
    seconds = f"{date.timestamp():.3f} (seconds since epoch)"
    return "".join(
        f"{text}\n"
        for text in (
            "#[chaosbench: latencies in microseconds, Interval_Max in milliseconds]",
            "#[Histogram log format version 1.3]",
            f"#[StartTime: {seconds}, {date.isoformat(timespec='milliseconds')}]",
            f"#[BaseTime: {seconds}]",
            LEGEND,
        )
    )


def _counted(tally: Tally) -> Counted:
    return Counted(
        tally.op_class,
        tally.response.copy(),
        tally.service.copy(),
        tally.response_bad.copy(),
        tally.service_bad.copy(),
    )


def totals(counted: Sequence[Counted]) -> Iterator[tuple[str, Histogram]]:
    """Every tag with all that was counted under it so far."""
    by_class = {op_class: [one for one in counted if one.op_class is op_class] for op_class in OpClass}
    for op_class, chosen in by_class.items():
        if not chosen:
            continue
        ok = merged(one.response for one in chosen)
        yield f"{op_class}-ok-response", ok
        yield f"{op_class}-all-response", merged((ok, *(one.response_bad for one in chosen)))
        ok = merged(one.service for one in chosen)
        yield f"{op_class}-ok-service", ok
        yield f"{op_class}-all-service", merged((ok, *(one.service_bad for one in chosen)))
