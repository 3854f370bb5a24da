"""Consistency for the summary: who served, and what two nodes did at once."""

from __future__ import annotations

from collections.abc import Callable

from chaosbench.clock import to_s
from chaosbench.ledger import Ledger
from chaosbench.model.consistency import Consistency, DoublePrimaryReport, Served, SplitBrain
from chaosbench.scenarios.primaries_watch import PrimariesWatch
from chaosbench.serving import Overlap, Server, Service

_EPISODES = 100


def consistency(ledger: Ledger, primaries: PrimariesWatch) -> Consistency:
    """What the ledger's acknowledgements and the nodes themselves say; at most a hundred double primaries."""

    def since(at_ns: int) -> float:
        return to_s(at_ns - ledger.started_ns)

    name = ledger.servings.name
    return Consistency(
        served=tuple(_served(service, name, since) for service in ledger.servings.services),
        split_brain=tuple(_split_brain(overlap, name, since) for overlap in ledger.servings.overlaps()),
        double_primary=tuple(
            DoublePrimaryReport(nodes=found.nodes, from_s=since(found.from_ns), to_s=since(found.to_ns))
            for found in primaries.episodes[:_EPISODES]
        ),
    )


def _served(service: Service, name: Callable[[Server], str], since: Callable[[int], float]) -> Served:
    return Served(
        node=name(service.server),
        timeline=service.server.timeline,
        rows=service.rows,
        first_s=since(service.first_ns),
        last_s=since(service.last_ns),
    )


def _split_brain(overlap: Overlap, name: Callable[[Server], str], since: Callable[[int], float]) -> SplitBrain:
    older, newer = overlap.older, overlap.newer
    return SplitBrain(
        node=name(older.server),
        timeline=older.server.timeline,
        successor=name(newer.server),
        successor_timeline=newer.server.timeline,
        since_s=since(overlap.since_ns),
        rows=older.overlap_rows,
        first_s=since(older.overlap_first_ns),
        last_s=since(older.overlap_last_ns),
    )
