"""The lost rows as a stretch of time and of WAL."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import groupby
from operator import itemgetter

from chaosbench.clock import to_s
from chaosbench.ledger import Ledger
from chaosbench.model.consistency import Losses
from chaosbench.model.report import FaultReport
from chaosbench.serving import Server


def losses(ledger: Ledger, lost: Iterable[int], forks: Mapping[int, int]) -> Losses | None:
    """When the lost rows were acknowledged, by whom, and how much WAL went with them; None without losses.

    Of a soak's losses the first thousand are known so well; see :class:`~chaosbench.ledger.Ledger`.

    forks:  timelines that were left, to the WAL position where the next one began
    """
    rows = [row for row in map(ledger.acknowledgement, lost) if row is not None]
    times = [row.done_ns for row in rows]
    if not times:
        return None
    placed = sorted((row.server, row.lsn) for row in rows if row.server is not None)
    lengths = [_wal(server, [lsn for _, lsn in group], forks) for server, group in groupby(placed, key=itemgetter(0))]
    wal_from = "fork" if all(from_fork for _, from_fork in lengths) else "first lost row"
    return Losses(
        first_s=to_s(min(times) - ledger.started_ns),
        last_s=to_s(max(times) - ledger.started_ns),
        span_s=to_s(max(times) - min(times)),
        fault=None,
        first_after_t0_s=None,
        last_after_t0_s=None,
        nodes=tuple(sorted({ledger.servings.name(server) for server, _ in placed})),
        wal_bytes=sum(length for length, _ in lengths) if lengths else None,
        wal_from=wal_from if lengths else None,
    )


def _wal(server: Server, lsns: list[int], forks: Mapping[int, int]) -> tuple[int, bool]:
    """Bytes of one server's WAL that its lost rows take up, and whether they are counted from the fork.

    A fork behind the last of them is not theirs: another node's timeline of the same number.
    """
    fork = forks.get(server.timeline)
    if fork is not None and fork <= lsns[-1]:
        return lsns[-1] - fork, True
    return lsns[-1] - lsns[0], False


def beside_fault(found: Losses, faults: tuple[FaultReport, ...]) -> Losses:
    """The same, with the fault whose T0 is nearest to the last loss."""
    injected = [(abs(t0_s - found.last_s), t0_s, name) for t0_s, name in _t0s(faults)]
    if not injected:
        return found
    _, t0_s, name = min(injected)
    return replace(
        found,
        fault=name,
        first_after_t0_s=round(found.first_s - t0_s, 6),
        last_after_t0_s=round(found.last_s - t0_s, 6),
    )


def _t0s(faults: tuple[FaultReport, ...]) -> list[tuple[float, str]]:
    return [(fault.injecting_at_s, fault.name) for fault in faults if fault.injecting_at_s is not None]
