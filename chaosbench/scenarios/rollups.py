"""Roll-ups of a soak: ``rollups/001.json``, and the same in short as ``rollups/001.md``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import TypeAdapter

from chaosbench.model.report import FaultReport, Summary
from chaosbench.model.rollup import Rollup
from chaosbench.outcome import OpClass
from chaosbench.recorder.recorder import Recorder
from chaosbench.recorder.stored import difference
from chaosbench.recorder.tally import Tally
from chaosbench.results import write_durably
from chaosbench.scenarios.fault_table import result
from chaosbench.scenarios.report import counted, latency, operation_report

DIRECTORY = "rollups"


@dataclass(slots=True)
class Stretch:
    """The time since the last roll-up.

    number:          roll-ups made before
    from_s, from_at: when it began; ``from_at`` is empty for the first
    base:            all that was counted before
    faults:          those that are over since
    """

    number: int = 0
    from_s: float = 0.0
    from_at: str = ""
    base: Recorder | None = None
    faults: list[FaultReport] = field(default_factory=list)

    def roll_up(self, so_far: Summary, figures: Recorder) -> Rollup:
        """Its roll-up; the next stretch begins. ``figures`` is a copy of all that was counted so far."""
        found = _rollup(self, so_far, difference(figures, self.base))
        self.number, self.from_s, self.from_at = found.number, found.to_s, found.to_at
        self.base = figures
        self.faults = []
        return found


def _rollup(stretch: Stretch, so_far: Summary, tallies: tuple[Tally, ...]) -> Rollup:
    load = [tally for tally in tallies if tally.op_class is not OpClass.CONNECT]
    counts, seconds = counted(load), so_far.duration_s - stretch.from_s
    return Rollup(
        number=stretch.number + 1,
        scenario=so_far.scenario,
        seed=so_far.seed,
        from_s=stretch.from_s,
        to_s=so_far.duration_s,
        from_at=stretch.from_at or so_far.started_at,
        to_at=so_far.finished_at,
        load=counts,
        ok_per_s=round(counts.ok / seconds, 3) if seconds else 0.0,
        latency_ms=latency(load),
        operations=tuple(map(operation_report, tallies)),
        faults=tuple(stretch.faults),
        windows=tuple(window for window in so_far.error_windows if window.start_s >= stretch.from_s),
        fault_table=so_far.soak.fault_table if so_far.soak else (),
        ledger=so_far.ledger,
        settled=so_far.soak.settled if so_far.soak else None,
        verdict=so_far.verdict,
        why=so_far.why,
        expectations=so_far.expectations,
    )


def write(found: Rollup, directory: Path) -> Path:
    """Write both files; blocks. Raises OSError."""
    place = directory / DIRECTORY
    place.mkdir(exist_ok=True)
    path = write_durably(place / f"{found.number:03d}.json", TypeAdapter(Rollup).dump_json(found, indent=2))
    write_durably(place / f"{found.number:03d}.md", "\n".join(markdown(found)).encode())
    return path


def markdown(found: Rollup) -> Iterator[str]:
    """The roll-up on a page."""
    load, response = found.load, found.latency_ms.response
    yield f"# {found.scenario}, roll-up {found.number}: {found.verdict} so far"
    yield ""
    yield f"{found.from_at} to {found.to_at}, {found.to_s - found.from_s:,.0f} s of load, seed {found.seed}."
    if found.why:
        yield f"\n{found.why}."
    yield ""
    ends = f"{load.failed:,} failed, {load.unknown:,} unknown, {load.shed:,} shed"
    yield f"- operations: {load.ok:,} ok ({found.ok_per_s:,.1f}/s), {ends}"
    times = {"p50": response.p50, "p99": response.p99, "p99.9": response.p999, "max": response.max}
    yield f"- response time in ms: {', '.join(f'{name} {_ms(value)}' for name, value in times.items())}"
    longest = max((window.duration_s for window in found.windows), default=0.0)
    yield f"- error windows: {len(found.windows)}, the longest {longest:.2f} s"
    if found.ledger is not None and found.settled is not None:
        counts = {name: getattr(found.ledger, name) for name in ("lost", "recovered", "unexpected")}
        words = ", ".join(f"{name} {_count(count)}" for name, count in counts.items())
        yield f"- ledger so far: {found.ledger.acked:,} acknowledged, {found.settled.rows:,} rows settled: {words}"
    yield ""
    if found.faults:
        yield "| fault | target | result | RTO s | no write s | redundancy s |"
        yield "| --- | --- | --- | --- | --- | --- |"
        for fault in found.faults:
            redundancy = fault.phases.redundancy_s if fault.phases else None
            figures = " | ".join(_s(one) for one in (fault.rto_s, fault.write_gap_s, redundancy))
            yield f"| {fault.name} | {fault.member or fault.target} | {result(fault)} | {figures} |"


def _s(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.2f}"


def _ms(milliseconds: float | None) -> str:
    return "-" if milliseconds is None else f"{milliseconds:.1f}"


def _count(number: int | None) -> str:
    return "-" if number is None else f"{number:,}"
