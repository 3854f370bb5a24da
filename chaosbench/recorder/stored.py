"""A recorder's figures as JSON values and back, and two recorders as one: what a soak goes on with."""

from __future__ import annotations

import sys
import zlib
from array import array
from base64 import b64decode, b64encode
from collections import Counter
from typing import Any

from chaosbench.events import Event
from chaosbench.histogram import CELLS, Histogram
from chaosbench.model.scenario import Windows
from chaosbench.outcome import OpClass, Outcome
from chaosbench.recorder.recorder import Recorder
from chaosbench.recorder.tally import Tally
from chaosbench.windows import Window

INTERRUPTED = "interrupted"
"""Why operations ended unknown that were under way when chaosbench itself was killed."""


def _nowhere(event: Event) -> None:
    """Everybody has heard of it already."""


def together(recorder: Recorder, earlier: Recorder | None = None) -> Recorder:
    """A copy of a recorder, with what an earlier one counted added to it; nothing is counted in the copy."""
    copy = Recorder(recorder.clock, Windows(), _nowhere)
    copy.started_ns = recorder.started_ns
    for one in (earlier, recorder):
        if one is not None:
            _add(copy, one)
    return copy


def difference(later: Recorder, before: Recorder | None) -> tuple[Tally, ...]:
    """What was counted in between, one recorder being a later copy of the other. An operation counts where it ended."""
    earlier = {(tally.workload, tally.operation): tally for tally in before.tallies} if before else {}
    return tuple(_since(tally, earlier.get((tally.workload, tally.operation))) for tally in later.tallies)


def stored(recorder: Recorder) -> dict[str, Any]:
    """As JSON values; stamps count from the start of the measurement. What is under way counts as ended unknown."""
    start_ns = recorder.started_ns
    return {
        "tallies": [_stored_tally(tally) for tally in recorder.tallies],
        "lag": stored_histogram(recorder.lag.histogram),
        "suspect_ns": recorder.lag.suspect_ns,
        "suspects": recorder.lag.suspects,
        "dropped": {op_class.value: recorder.dropped(op_class) for op_class in OpClass},
        "windows": [_stored_window(window, start_ns) for window in recorder.windows()],
    }


def restored(found: dict[str, Any], like: Recorder) -> Recorder:
    """From what :func:`stored` gave; ``like`` is the recorder that goes on, whose start is this one's."""
    recorder = Recorder(like.clock, Windows(), _nowhere)
    recorder.started_ns = like.started_ns
    for each in found["tallies"]:
        tally = recorder.tally(each["workload"], each["operation"], OpClass(each["op_class"]))
        tally.attempted = each["attempted"]
        tally.ended = Counter({Outcome(outcome): count for outcome, count in each["ended"].items()})
        tally.reasons = Counter({(Outcome(outcome), reason): count for outcome, reason, count in each["reasons"]})
        tally.restore(each["ok"], restored_histogram(each["response"]), restored_histogram(each["service"]))
        tally.response_bad, tally.service_bad = (
            restored_histogram(each["response_bad"]),
            restored_histogram(each["service_bad"]),
        )
    recorder.lag.histogram = restored_histogram(found["lag"])
    recorder.lag.suspect_ns, recorder.lag.suspects = found["suspect_ns"], found["suspects"]
    for name, dropped in found["dropped"].items():
        recorder.took_over(OpClass(name), *dropped)
    recorder.took_over_windows(_window(each, recorder.started_ns) for each in found["windows"])
    return recorder


def _add(to: Recorder, one: Recorder) -> None:
    for tally in one.tallies:
        sum_ = to.tally(tally.workload, tally.operation, tally.op_class)
        sum_.attempted += tally.attempted
        sum_.ended += tally.ended
        sum_.reasons += tally.reasons
        response, service = sum_.response, sum_.service
        response.add(tally.response)
        service.add(tally.service)
        sum_.restore(sum_.ok + tally.ok, response, service)
        sum_.response_bad.add(tally.response_bad)
        sum_.service_bad.add(tally.service_bad)
    to.lag.histogram.add(one.lag.histogram)
    to.lag.suspect_ns += one.lag.suspect_ns
    to.lag.suspects += one.lag.suspects
    for op_class in OpClass:
        to.took_over(op_class, *one.dropped(op_class))
    to.took_over_windows(one.windows())


def _since(tally: Tally, before: Tally | None) -> Tally:
    result = Tally(tally.workload, tally.operation, tally.op_class, tally.track)
    if before is None:
        before = Tally(tally.workload, tally.operation, tally.op_class, tally.track)
    result.ended, result.reasons = tally.ended - before.ended, tally.reasons - before.reasons
    response, service = tally.response.since(before.response), tally.service.since(before.service)
    result.restore(tally.ok - before.ok, response, service)
    result.response_bad = tally.response_bad.since(before.response_bad)
    result.service_bad = tally.service_bad.since(before.service_bad)
    result.attempted = result.done
    return result


def _stored_tally(tally: Tally) -> dict[str, Any]:
    ended, reasons = Counter(tally.ended), Counter(tally.reasons)
    if tally.in_flight:
        ended[Outcome.UNKNOWN] += tally.in_flight
        reasons[Outcome.UNKNOWN, INTERRUPTED] += tally.in_flight
    return {
        "workload": tally.workload,
        "operation": tally.operation,
        "op_class": tally.op_class.value,
        "attempted": tally.attempted,
        "ok": tally.ok,
        "ended": {outcome.value: count for outcome, count in ended.items()},
        "reasons": [(outcome.value, reason, count) for (outcome, reason), count in reasons.items()],
        "response": stored_histogram(tally.response),
        "service": stored_histogram(tally.service),
        "response_bad": stored_histogram(tally.response_bad),
        "service_bad": stored_histogram(tally.service_bad),
    }


def stored_histogram(histogram: Histogram) -> dict[str, Any]:
    """A histogram as JSON values."""
    counts = array("Q", histogram.counts)
    if sys.byteorder == "big":
        counts.byteswap()
    packed = b64encode(zlib.compress(counts.tobytes(), 1)).decode("ascii")
    return {"counts": packed, "sum": histogram.sum_us, "max": histogram.max_us, "overflow": histogram.overflow}


def restored_histogram(found: dict[str, Any]) -> Histogram:
    """From what :func:`stored_histogram` gave."""
    counts = array("Q", zlib.decompress(b64decode(found["counts"])))
    if sys.byteorder == "big":
        counts.byteswap()
    result = Histogram()
    if len(counts) != CELLS:
        raise ValueError(f"a histogram of {len(counts)} cells, not {CELLS}")
    result.counts = list(counts)
    result.sum_us, result.max_us, result.overflow = found["sum"], found["max"], found["overflow"]
    return result


def _stored_window(window: Window, start_ns: int) -> dict[str, Any]:
    stamps = (window.start_ns, window.end_ns, window.seen_ns)
    return {
        "op_class": window.op_class.value,
        "stamps": [at_ns - start_ns for at_ns in stamps],
        "counts": {outcome.value: count for outcome, count in window.counts.items()},
        "gap": [at_ns - start_ns for at_ns in window.longest_gap] if window.longest_gap else None,
        "fault": window.fault,
    }


def _window(found: dict[str, Any], start_ns: int) -> Window:
    start, end, seen = (at_ns + start_ns for at_ns in found["stamps"])
    gap = tuple(at_ns + start_ns for at_ns in found["gap"]) if found["gap"] else None
    return Window(
        OpClass(found["op_class"]),
        start,
        end,
        seen,
        Counter({Outcome(outcome): count for outcome, count in found["counts"].items()}),
        (gap[0], gap[1]) if gap else None,
        closed_ns=end,  # it ended with chaosbench, if not before
        fault=found["fault"],
    )
