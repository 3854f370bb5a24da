"""Which fault opened which error window. Pure."""

from __future__ import annotations

import sys

from chaosbench.clock import NS, to_s
from chaosbench.model.report import ErrorWindow
from chaosbench.outcome import OpClass, Outcome
from chaosbench.scenarios.faults import FaultRecord
from chaosbench.windows import Window

AFTERMATH_NS = 15 * NS
"""How long after its healing a fault still explains a new error window: members rejoin, backends are attached."""


def tied(windows: tuple[Window, ...], faults: tuple[FaultRecord, ...], start_ns: int) -> tuple[ErrorWindow, ...]:
    """Each window with the fault that opened it, or none.

    A fault can open windows from its T0 until ``AFTERMATH_NS`` after it was
    healed and writes were back. Of several, it is the last one injected before
    the window's first error was seen.
    """
    reaches = sorted(
        ((*reach(record), record.plan.name) for record in faults if record.outage is not None), reverse=True
    )

    def opener(window: Window) -> str | None:
        return window.fault or next(
            (name for from_ns, to_ns, name in reaches if from_ns <= window.seen_ns <= to_ns), None
        )

    return tuple(_window(window, opener(window), start_ns) for window in windows)


def reach(record: FaultRecord) -> tuple[int, int]:
    """From when until when a fault can open windows; the end is ``sys.maxsize`` while it is not over."""
    outage, injection = record.outage, record.injection
    if outage is None:
        return (0, 0)
    healed_ns = injection.healed_ns if injection else None
    back_ns = outage.t6_ns(outage.last_ack_ns)
    if healed_ns is None or (outage.t1_ns is not None and back_ns is None):
        return (outage.t0_ns, sys.maxsize)
    return (outage.t0_ns, max(healed_ns, back_ns or 0) + AFTERMATH_NS)


def _window(window: Window, fault: str | None, start_ns: int) -> ErrorWindow:
    # Connects are rare while all is well: a stretch without one means nothing.
    gap = None if window.op_class is OpClass.CONNECT else window.longest_gap
    return ErrorWindow(
        op_class=window.op_class.value,
        fault=fault,
        start_s=to_s(window.start_ns - start_ns),
        end_s=to_s(window.end_ns - start_ns),
        duration_s=to_s(window.duration_ns),
        longest_gap_s=to_s(gap[1] - gap[0]) if gap else None,
        failed=window.counts[Outcome.FAILED],
        unknown=window.counts[Outcome.UNKNOWN],
        shed=window.counts[Outcome.SHED],
    )
