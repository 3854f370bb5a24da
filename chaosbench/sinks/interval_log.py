"""``intervals.hlog``: latencies second by second, in the format that HdrHistogram's own tools open.

In a long run minute by minute where nothing happens: ``grain.py``.

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

import errno
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from chaosbench.clock import Anchor, to_s
from chaosbench.events import Event, Kind
from chaosbench.histogram import Histogram, merged
from chaosbench.outcome import OpClass
from chaosbench.recorder.recorder import Recorder
from chaosbench.recorder.tally import Tally
from chaosbench.rolling import Rolled
from chaosbench.rolling.writer import RollingFile
from chaosbench.sinks.grain import Grain

INTERVALS = "intervals.hlog"
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
    """Writes what was counted since the last line; begins with the measurement, not with the warm-up.

    A tick copies counts (0.01 ms a histogram); a thread of its own encodes and
    writes. In a long run not every tick has a line (``grain.py``). While the disk
    is full nothing is written, and the first interval after it holds all of that
    time: no count is lost. ``OSError`` when the file cannot be opened, at the
    tick after one that could not be written for another reason, and at the end
    when the disk is still full: the hub then drops this sink.
    """

    name = "intervals"

    def __init__(self, path: Path, anchor: Anchor, rolled: Rolled | None = None) -> None:
        self._anchor = anchor
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="intervals")
        self._writing: Future[None] | None = None
        self._log = _Log(RollingFile(path, rolled))
        self._grain = Grain()
        self._measuring = False
        self._recorder: Recorder | None = None

    def on_event(self, event: Event) -> None:
        """The measurement begins when the stage does; what is counted before is warm-up."""
        if event.kind is Kind.STAGE and event.data["name"] == "load":
            self._measuring = True
        if event.kind is Kind.FAULT_INJECTING and self._recorder is not None:
            recorder = self._recorder
            if self._grain.coarse(event.at_ns, recorder.started_ns):
                self._write(recorder)
        self._grain.event(event)

    def on_tick(self, recorder: Recorder) -> None:
        """Have the interval since the last line written; waits for the last one only if that is still not done."""
        if not self._measuring:
            return
        self._check()
        if self._recorder is None:
            self._recorder = recorder
            self._log.begin(recorder, _head(self._anchor, recorder.started_ns))
        if self._grain.due(recorder.clock.now(), recorder.started_ns):
            self._write(recorder)

    def close(self) -> None:
        """Write what came after the last line, and close the file."""
        try:
            if self._recorder is not None:
                self._check()
                self._log.retry()
                self._write(self._recorder)
                self._check()
                if self._log.waits:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            self._end()

    def _write(self, recorder: Recorder) -> None:
        counted = [_counted(tally) for tally in recorder.tallies]
        self._writing = self._thread.submit(self._log.write, recorder.clock.now(), counted)

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
        self._log.close()


class _Log:
    """Turns totals into intervals and writes them; used by one thread alone.

    waits:  whether the last interval found no room
    """

    def __init__(self, file: RollingFile) -> None:
        self._file = file
        self._seen: dict[str, Histogram] = {}
        self._started_ns = self._from_ns = 0
        self.waits = False

    def begin(self, recorder: Recorder, head: str) -> None:
        """The measurement begins, or a soak's goes on; ``head`` stands at the beginning of every part."""
        self._started_ns, self._from_ns = recorder.started_ns, recorder.began_ns
        self._file.begin(head)

    def write(self, now_ns: int, counted: list[Counted]) -> None:
        times = f"{to_s(self._from_ns - self._started_ns):.6f},{to_s(now_ns - self._from_ns):.6f}"
        seen, lines = {}, []
        for tag, total in totals(counted):
            seen[tag] = total
            before = self._seen.get(tag)
            interval = total if before is None else total.since(before)
            if interval.total:
                lines.append(line(tag, times, interval))
            time.sleep(_BREATH_S)
        # One piece: with half of its tags an interval would count twice when it is written again.
        self.waits = not self._file.write("".join(lines), now_ns)
        if not self.waits:
            self._seen, self._from_ns = seen, now_ns

    def retry(self) -> None:
        self._file.retry()

    def close(self) -> None:
        self._file.close()


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
