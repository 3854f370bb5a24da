"""What lost workers mean for a scenario: lines for a person, and whether it has failed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from chaosbench.model.report import Verdict
from chaosbench.model.scenario import Spread
from chaosbench.model.workers import WorkerReport


def lost_workers(workers: Sequence[WorkerReport]) -> tuple[str, ...]:
    """A line for each."""
    return tuple(
        f"worker {one.worker} ({one.address}) was lost {one.lost_at_s:.1f} s into the load ({one.lost_why}): "
        f"{one.in_flight_when_lost} operations unknown, its share of the load was offered no more"
        for one in workers
        if one.lost_at_s is not None
    )


def without_workers(workers: Sequence[WorkerReport], spread: Spread | None) -> Iterator[tuple[Verdict, str]]:
    """A verdict and why, where lost workers lead to one: the scenario says so, or nobody was left to measure."""
    lost = [one for one in workers if one.lost_at_s is not None]
    if lost and spread is not None and spread.on_worker_lost == "fail":
        yield Verdict.FAIL, f"worker {lost[0].worker} was lost"
    elif lost and len(lost) == len(workers):
        yield Verdict.UNKNOWN, "no worker was left"
