"""A fault's phases on a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from chaosbench.model.phases import PhaseReport
from chaosbench.model.report import Summary

PHASES = ("detection", "election", "promotion", "proxy", "client")
_INDENT = " " * 11


def lines(report: PhaseReport) -> Iterator[Text]:
    """The path with its phases, then what else is known."""
    known = [(name, getattr(report, f"{name}_s")) for name in PHASES]
    said = [f"{name} {seconds:.2f}" for name, seconds in known if seconds is not None]
    yield Text.assemble(_INDENT, (report.path, "bold"), f": {' + '.join(said)} s" if said else "")
    if report.hangs_at is not None:
        yield Text.assemble(_INDENT, (f"hangs at {report.hangs_at}", "bold red"), f": {report.why}")
    yield from _more(report)


def _more(report: PhaseReport) -> Iterator[Text]:
    said = []
    if report.redundancy_s is not None:
        said.append(f"redundancy back after {report.redundancy_s:.2f} s")
    if report.degraded_tail_s is not None:
        said.append(f"p99 back {report.degraded_tail_s:.1f} s after the writes")
    if report.lease_ttl_s is not None and report.detection_s is not None:
        said.append(f"the lease had {report.lease_ttl_s} s left")
    if report.elections > 1:
        said.append(f"the leader key was taken {report.elections} times")
    if report.etcd_hit is not None:
        role = "its leader" if report.etcd_hit == report.etcd_leader else f"{report.etcd_leader} led"
        said.append(f"hit {report.etcd_hit} of etcd ({role})")
    if said:
        yield Text(_INDENT + "; ".join(said))


def cost(summary: Summary) -> Iterator[Text]:
    """What the observers asked of the cluster, and which of them did not work."""
    quick = sum(observer.quick_per_s for observer in summary.observers)
    slow = sum(observer.slow_per_s for observer in summary.observers)
    if summary.observers:
        yield Text(
            f"  observed with {quick:,.0f} questions/s for {summary.observers_quick_s:.0f} s, {slow:,.0f}/s otherwise"
        )
    for observer in summary.observers:
        if observer.failed is not None:
            yield Text(f"  not observed: {observer.name}: {observer.failed}", "yellow")
