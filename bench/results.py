"""What a benchmark found: figures, targets, verdicts; as JSON, for a terminal, as Markdown. No measuring here."""

from __future__ import annotations

import json
import operator
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field, replace
from enum import StrEnum
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter
from pydantic.dataclasses import dataclass
from rich.table import Table

_COMPARE = {"<=": operator.le, ">=": operator.ge}


class Verdict(StrEnum):
    """Whether a row met its target; ``stated`` where there is none to meet."""

    MET = "met"
    MISSED = "missed"
    STATED = "stated"


@dataclass(frozen=True, slots=True)
class Target:
    """A limit on a row's figure, in the row's unit."""

    comparison: Literal["<=", ">="]
    limit: float

    def met(self, value: float) -> bool:
        """Whether a figure keeps to it."""
        return bool(_COMPARE[self.comparison](value, self.limit))

    def __str__(self) -> str:
        return f"{'≥' if self.comparison == '>=' else '≤'} {self.limit:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure.

    measure:  what was measured, in words
    value:    the median of ``rounds`` where there were several
    rounds:   the same figure of each round
    figures:  what it was made from, each name with its unit; medians too
    """

    measure: str
    value: float
    unit: str
    verdict: Verdict
    target: Target | None = None
    rounds: tuple[float, ...] = ()
    figures: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """All rows of one benchmark.

    at, seconds:  when it began (UTC), and how long it took
    commit:       the checkout that was measured; ``+`` after it: with changes that are not committed
    quick:        a short version, good for seeing that it works
    """

    name: str
    at: str
    seconds: float
    commit: str
    quick: bool
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything measured on one machine; ``machine`` says what it is and what runs on it."""

    version: Literal[1] = 1
    machine: dict[str, str]
    sections: tuple[Section, ...] = ()

    @property
    def missed(self) -> int:
        """Rows that missed their target."""
        return sum(row.verdict is Verdict.MISSED for section in self.sections for row in section.rows)


def measured(
    measure: str,
    rounds: Sequence[float],
    unit: str,
    target: Target | None = None,
    figures: Mapping[str, Sequence[float]] | None = None,
) -> Row:
    """A row made of the rounds of a figure (at least one)."""
    value = statistics.median(rounds)
    verdict = Verdict.STATED if target is None else Verdict.MET if target.met(value) else Verdict.MISSED
    return Row(
        measure=measure,
        value=value,
        unit=unit,
        verdict=verdict,
        target=target,
        rounds=tuple(rounds) if len(rounds) > 1 else (),
        figures={name: statistics.median(values) for name, values in (figures or {}).items()},
    )


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Round by round: what both had in common in a round (a busy neighbour, say) falls out."""
    return [mine / other for mine, other in zip(ours, theirs, strict=True)]


def merge(report: Report, sections: Iterable[Section], order: Sequence[str]) -> Report:
    """The report with these sections in the place of those of the same name, in the given order."""
    found = {section.name: section for section in (*report.sections, *sections)}
    return replace(report, sections=tuple(found[name] for name in order if name in found))


_REPORT: TypeAdapter[Report] = TypeAdapter(Report)


def read(path: Path) -> Report:
    """A report from its file."""
    return _REPORT.validate_json(path.read_bytes())


def write(path: Path, report: Report) -> None:
    """A report into its file."""
    path.write_bytes(_REPORT.dump_json(report, indent=1) + b"\n")


def schema() -> dict[str, object]:
    """The JSON Schema of a report's file."""
    return _REPORT.json_schema(mode="serialization")


def schema_text() -> str:
    """The schema as it is published in ``docs/benchmarks.schema.json``."""
    return json.dumps(schema(), indent=2) + "\n"


def figure(value: float) -> str:
    """Three digits, or all before the point."""
    return (
        f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}" if abs(value) >= 0.001 or not value else f"{value:.1e}"
    )


def cells(row: Row) -> tuple[str, str, str, str]:
    """A row as text: what, how much, the target, the verdict."""
    spread = f" ({figure(min(row.rounds))} to {figure(max(row.rounds))})" if row.rounds else ""
    return row.measure, f"{figure(row.value)} {row.unit}{spread}", str(row.target or ""), row.verdict.value


def table(section: Section) -> Table:
    """For a terminal."""
    result = Table(
        title=f"{section.name} ({section.seconds:.0f} s{', quick' if section.quick else ''})", title_justify="left"
    )
    for heading in ("measure", "median (rounds)", "target", "verdict"):
        result.add_column(heading)
    colours = {Verdict.MET: "green", Verdict.MISSED: "bold red", Verdict.STATED: ""}
    for row in section.rows:
        result.add_row(*cells(row), style=colours[row.verdict])
    return result


def markdown(report: Report) -> str:
    """For the docs: one table of all rows, with the figures that each was made from."""
    lines = ["| measure | median (rounds) | target | verdict | made from |", "| --- | --- | --- | --- | --- |"]
    for section in report.sections:
        lines.append(f"| **{section.name}**, {section.at[:10]}, `{section.commit}` | | | | |")
        for row in section.rows:
            made = ", ".join(f"{name} {figure(value)}" for name, value in row.figures.items())
            lines.append(f"| {' | '.join((*cells(row), made))} |")
    return "\n".join(lines) + "\n"
