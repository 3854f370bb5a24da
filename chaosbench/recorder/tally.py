"""Counts and latencies of one kind of operation. Plain attributes: the hot path increments them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from chaosbench.histogram import HIGHEST_US, NO_CELLS, Cells, Histogram
from chaosbench.outage import WriteOutage
from chaosbench.outcome import OpClass, Outcome
from chaosbench.windows import WindowFolder

if TYPE_CHECKING:
    from chaosbench.recorder.samples import Samples

GAP_NS = 50_000_000
"""Stretches without success shorter than this (50 ms) are not looked at."""
NOTED_MOST = 128
"""Acknowledged operations that are noted before they are folded in: about 0.1 ms of work in one go."""


class ClassTrack:
    """What is common to all operations of one class: its windows, its last success, its watchers.

    An acknowledged operation is only noted, and folded in with others: between
    two queries nothing of ours is in the processor's caches, and folding one by
    one costs three times as much (see ``docs/benchmarks.md``). Nobody sees the
    difference: whoever reads a figure has everything folded in first, and so
    has an operation that did not end ok. While outages are watched each is
    folded in at once, for those hear of other acknowledgements too, in order.
    """

    __slots__ = ("_last_ok_ns", "_most", "_outages", "folder", "noted")

    def __init__(self, folder: WindowFolder, now_ns: int) -> None:
        self.folder = folder
        self.noted: list[tuple[Tally, int, int, int]] = []
        self._last_ok_ns = now_ns
        self._outages: tuple[WriteOutage, ...] = ()
        self._most = NOTED_MOST

    @property
    def outages(self) -> tuple[WriteOutage, ...]:
        """Who watches; each has heard of everything so far."""
        self.fold()
        return self._outages

    @outages.setter
    def outages(self, outages: tuple[WriteOutage, ...]) -> None:
        self.fold()
        self._outages = outages
        self._most = 1 if outages else NOTED_MOST

    @property
    def last_ok_ns(self) -> int:
        """When the last operation was acknowledged."""
        self.fold()
        return self._last_ok_ns

    def note(self, tally: Tally, intended_ns: int, sent_ns: int, done_ns: int) -> None:
        """An acknowledged operation of this class. This is the hot path."""
        noted = self.noted
        noted.append((tally, intended_ns, sent_ns, done_ns))
        if len(noted) >= self._most:
            self.fold()

    def succeeded(self, from_ns: int, to_ns: int) -> None:
        """Somebody else had successes from here to there, never more than ``GAP_NS`` apart. In order of ``from_ns``."""
        if from_ns - self._last_ok_ns > GAP_NS:
            self.folder.gap(self._last_ok_ns, from_ns)
        self._last_ok_ns = max(self._last_ok_ns, to_ns)

    def acknowledged(self, intended_ns: int, done_ns: int) -> None:
        """Tell the outages of a success of somebody else; in order of ``done_ns``, among what did not end ok."""
        for outage in self._outages:
            outage.ack(intended_ns, done_ns)

    def fold(self) -> None:
        """Fold in what was noted, in the order in which it was done."""
        last_ok_ns = self._last_ok_ns
        for tally, intended_ns, sent_ns, done_ns in self.noted:
            if done_ns - last_ok_ns > GAP_NS:
                self.folder.gap(last_ok_ns, done_ns)
            last_ok_ns = done_ns
            for outage in self._outages:
                outage.ack(intended_ns, done_ns)
            tally.count_ok(intended_ns, sent_ns, done_ns)
        self._last_ok_ns = last_ok_ns
        self.noted.clear()


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
        "_ok",
        "_response",
        "_service",
        "attempted",
        "ended",
        "op_class",
        "operation",
        "reasons",
        "response_bad",
        "samples",
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
        self.ended: Counter[Outcome] = Counter()
        self.reasons: Counter[tuple[Outcome, str]] = Counter()
        self.response_bad = Histogram()
        self.service_bad = Histogram()
        self._ok = 0
        self._response = Histogram()
        self._service = Histogram()

    @property
    def ok(self) -> int:
        """Operations that were acknowledged."""
        self.track.fold()
        return self._ok

    @property
    def response(self) -> Histogram:
        """Response times of what was acknowledged."""
        self.track.fold()
        return self._response

    @property
    def service(self) -> Histogram:
        """Service times of what was acknowledged."""
        self.track.fold()
        return self._service

    def restore(self, ok: int, response: Histogram, service: Histogram) -> None:
        """Take over what another tally counted of what was acknowledged."""
        self._ok, self._response, self._service = ok, response, service

    @property
    def done(self) -> int:
        """Operations that have ended, however they did."""
        return self.ok + self.ended.total()

    @property
    def in_flight(self) -> int:
        """Operations that were attempted and have not ended (queued ones included)."""
        return self.attempted - self.done

    def record_ok(self, intended_ns: int, sent_ns: int, done_ns: int) -> None:
        """An acknowledged operation."""
        self.track.note(self, intended_ns, sent_ns, done_ns)

    def count_ok(self, intended_ns: int, sent_ns: int, done_ns: int) -> None:
        """What the track does with an operation that was noted. Warm path: no calls but for the rare cases."""
        self._ok += 1
        for histogram, start_ns in ((self._response, intended_ns), (self._service, sent_ns)):
            value = (done_ns - start_ns) // 1000
            if value > HIGHEST_US:
                histogram.record(value)
                continue
            histogram.sum_us += value
            if value > histogram.max_us:
                histogram.max_us = value
            shift = value.bit_length() - 8
            histogram.counts[value if shift <= 0 else (shift << 7) + (value >> shift)] += 1

    def take_ok(self) -> tuple[int, Cells, Cells]:
        """The successes since this was last asked, with response and service times; they are then gone from here."""
        self.track.fold()
        if not self._ok:
            return 0, NO_CELLS, NO_CELLS
        taken = self._ok, self._response.cells(), self._service.cells()
        self._ok, self._response, self._service = 0, Histogram(), Histogram()
        return taken

    def add_ok(self, number: int, response: Cells, service: Cells) -> None:
        """Successes that somebody else counted."""
        self._ok += number
        self._response.add_cells(response)
        self._service.add_cells(service)

    def record_bad(self, outcome: Outcome, reason: str, intended_ns: int, sent_ns: int | None, done_ns: int) -> None:
        """An operation that did not end ok; ``sent_ns`` is None when it was never sent."""
        outages = self.track.outages  # with all that was acknowledged before folded in
        self.ended[outcome] += 1
        self.reasons[outcome, reason] += 1
        self.response_bad.record((done_ns - intended_ns) // 1000)
        if sent_ns is not None:
            self.service_bad.record((done_ns - sent_ns) // 1000)
        for outage in outages:
            outage.bad(intended_ns, done_ns)
