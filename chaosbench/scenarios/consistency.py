"""Consistency for the summary: who served, and what two nodes did at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from chaosbench.clock import to_s
from chaosbench.model.consistency import (
    Ages,
    Consistency,
    DoublePrimaryReport,
    NodeReads,
    Served,
    SplitBrain,
    StaleReadsReport,
)
from chaosbench.primaries import DoublePrimary
from chaosbench.recorder.stored import restored_histogram, stored_histogram
from chaosbench.serving import Overlap, Server, Service
from chaosbench.staleness import Registers
from chaosbench.workload import Context

_EPISODES = 100
_SERVED = 500
"""Servers that are told of, the newest."""


def consistency(context: Context, doubles: Sequence[DoublePrimary]) -> Consistency:
    """What acknowledgements, reads and the nodes themselves say; at most a hundred double primaries."""
    ledger = context.ledger

    def since(at_ns: int) -> float:
        return to_s(at_ns - ledger.started_ns)

    name = ledger.servings.name
    return Consistency(
        served=tuple(_served(service, name, since) for service in ledger.servings.services[-_SERVED:]),
        split_brain=tuple(_split_brain(overlap, name, since) for overlap in ledger.servings.overlaps()),
        double_primary=tuple(
            DoublePrimaryReport(nodes=found.nodes, from_s=since(found.from_ns), to_s=since(found.to_ns))
            for found in doubles[:_EPISODES]
        ),
        stale_reads=_stale_reads(context.registers, ledger.servings.node),
    )


def with_earlier(now: Consistency, earlier: Consistency) -> Consistency:
    """What earlier segments of a soak said is added; the stale reads are in ``now`` already."""
    return replace(
        now,
        served=(*earlier.served, *now.served)[-_SERVED:],
        split_brain=(*earlier.split_brain, *now.split_brain),
        double_primary=(*earlier.double_primary, *now.double_primary)[:_EPISODES],
    )


def handed_over(registers: Registers) -> dict[str, Any]:
    """What reads found, as JSON values, for the next segment of a soak."""
    return {
        "reads": dict(registers.reads),
        "stale": dict(registers.stale),
        "ages": stored_histogram(registers.ages),
    }


def take_over(registers: Registers, found: dict[str, Any]) -> None:
    """Go on counting from there."""
    registers.reads.update(found["reads"])
    registers.stale.update(found["stale"])
    registers.ages.add(restored_histogram(found["ages"]))


def _stale_reads(registers: Registers, name: Callable[[str], str]) -> StaleReadsReport | None:
    reads, stale = registers.reads.total(), registers.stale.total()
    if not reads:
        return None
    p50, p90, p99 = registers.ages.percentiles_ms((50, 90, 99))
    return StaleReadsReport(
        reads=reads,
        stale=stale,
        share=round(stale / reads, 6),
        age_ms=Ages(p50=p50, p90=p90, p99=p99, max=registers.ages.max_us / 1000 if stale else None),
        nodes=tuple(
            NodeReads(node=name(address), reads=count, stale=registers.stale[address])
            for address, count in sorted(registers.reads.items())
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
