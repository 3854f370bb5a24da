"""Counts and latencies of one kind of operation. Plain attributes: the hot path increments them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from chaosbench.histogram import HIGHEST_US, Histogram
from chaosbench.outage import WriteOutage
from chaosbench.outcome import OpClass, Outcome
from chaosbench.windows import WindowFolder

if TYPE_CHECKING:
    from chaosbench.recorder.samples import Samples

GAP_NS = 50_000_000
"""Stretches without success shorter than this (50 ms) are not looked at."""


class ClassTrack:
    """What is common to all operations of one class: its windows, its last success, its watchers."""

    __slots__ = ("folder", "last_ok_ns", "outages")

    def __init__(self, folder: WindowFolder, now_ns: int) -> None:
        self.folder = folder
        self.last_ok_ns = now_ns
        self.outages: tuple[WriteOutage, ...] = ()


class Tally:
    """One kind of operation of one workload.

    attempted = ok + failed + unknown + shed + in flight, at every instant;
    ``in_flight`` is the difference, and the engine's own count must agree.
    ``response`` and ``service`` hold successes; ``response_bad`` and
    ``service_bad`` everything else that was sent (``response_bad`` also what
    was shed, at its age), so that percentiles over all outcomes can be had.
    ``samples`` is where each operation leaves a row of its own; None, and then no
    more than that is looked at, unless raw samples were asked for.
    """

    __slots__ = (
        "attempted",
        "ended",
        "ok",
        "op_class",
        "operation",
        "reasons",
        "response",
        "response_bad",
        "samples",
        "service",
        "service_bad",
        "track",
        "workload",
    )

    def __init__(
        self, workload: str, operation: str, op_class: OpClass, track: ClassTrack, samples: Samples | None = None
    ) -> None:
        self.workload = workload
        self.operation = operation
        self.op_class = op_class
        self.track = track
        self.samples = samples
        self.attempted = 0
        self.ok = 0
        self.ended: Counter[Outcome] = Counter()
        self.reasons: Counter[tuple[Outcome, str]] = Counter()
        self.response = Histogram()
        self.service = Histogram()
        self.response_bad = Histogram()
        self.service_bad = Histogram()

    @property
    def done(self) -> int:
        """Operations that have ended, however they did."""
        return self.ok + self.ended.total()

    @property
    def in_flight(self) -> int:
        """Operations that were attempted and have not ended (queued ones included)."""
        return self.attempted - self.done

    def record_ok(self, intended_ns: int, sent_ns: int, done_ns: int) -> None:
        """An acknowledged operation. This is the hot path: no calls but for the rare cases."""
        self.ok += 1
        track = self.track
        if done_ns - track.last_ok_ns > GAP_NS:
            track.folder.gap(track.last_ok_ns, done_ns)
        track.last_ok_ns = done_ns
        for outage in track.outages:
            outage.ack(intended_ns, done_ns)
        for histogram, start_ns in ((self.response, intended_ns), (self.service, sent_ns)):
            value = (done_ns - start_ns) // 1000
            if value > HIGHEST_US:
                histogram.record(value)
                continue
            histogram.sum_us += value
            if value > histogram.max_us:
                histogram.max_us = value
            shift = value.bit_length() - 8
            histogram.counts[value if shift <= 0 else (shift << 7) + (value >> shift)] += 1

    def record_bad(self, outcome: Outcome, reason: str, intended_ns: int, sent_ns: int | None, done_ns: int) -> None:
        """An operation that did not end ok; ``sent_ns`` is None when it was never sent."""
        self.ended[outcome] += 1
        self.reasons[outcome, reason] += 1
        self.response_bad.record((done_ns - intended_ns) // 1000)
        if sent_ns is not None:
            self.service_bad.record((done_ns - sent_ns) // 1000)
        for outage in self.track.outages:
            outage.bad(intended_ns, done_ns)
