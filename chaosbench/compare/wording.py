"""A comparison in words: the cells of its table, and what it cannot tell."""

from __future__ import annotations

from collections.abc import Iterator

from chaosbench.compare.effect import magnitude
from chaosbench.compare.results import SURE, Comparison, Row
from chaosbench.report.wording import quantity

HEADS = ("figure", "A", "B", "B - A (95 % interval)", "effect", "p", "q", "judgement")


def cells(row: Row) -> tuple[str, ...]:
    """A figure's row."""
    before, after = row.medians
    return (
        row.metric,
        _side(before, row.unit, row.a_never),
        _side(after, row.unit, row.b_never),
        _shift(row),
        _size(row),
        _probability(row.effect.p if row.effect else None),
        _probability(row.q),
        row.judgement.value,
    )


def _side(median: float | None, unit: str, never: int) -> str:
    said = quantity(median, unit)
    return f"{said}, {never} never" if never else said


def _shift(row: Row) -> str:
    if row.effect is None:
        return "-"
    shift = ("+" if row.effect.shift > 0 else "") + quantity(row.effect.shift, row.unit)
    if row.effect.low is None or row.effect.high is None:
        return shift
    return f"{shift} ({quantity(row.effect.low, row.unit)} to {quantity(row.effect.high, row.unit)})"


def _size(row: Row) -> str:
    if row.effect is None or row.effect.p is None:
        return "-"
    return f"{row.effect.delta:+.2f} {magnitude(row.effect.delta)}"


def _probability(p: float | None) -> str:
    return "-" if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"


def notes(found: Comparison) -> Iterator[str]:
    """What a reader must know before believing a row."""
    n, m = len(found.a.summaries), len(found.b.summaries)
    if found.single:
        yield (
            f"{n} against {m}: a single run on a side allows no statement of confidence. The differences are "
            "what these runs had; another two would have others. Give the scenario 'trials' to know more."
        )
        return
    least = min((row.effect.least_p for row in found.rows if row.effect and row.effect.least_p), default=None)
    if least is not None and least > SURE:
        yield (
            f"{n} against {m} trials: even samples that do not overlap at all have p = {least:.2f}. "
            "So few cannot show a difference at 5 %; from 4 against 4 trials on they can."
        )
    tested = sum(row.q is not None for row in found.rows)
    yield (
        f"{n} against {m} trials, {tested} figures tested. B - A: Hodges-Lehmann shift; effect: Cliff's delta; p: "
        "Mann-Whitney, two-sided; q: p adjusted for the number of figures (Benjamini-Hochberg); a difference is "
        f"called one at q <= {SURE:g}. --metric tests fewer figures, chosen beforehand."
    )


def summary(found: Comparison, tolerance: float) -> str:
    """The one line that counts."""
    worse = found.regressions(tolerance)
    if worse:
        return f"REGRESSION  {found.b.name} against {found.a.name}: {', '.join(worse)}"
    if found.single:
        return f"UNKNOWN     {found.b.name} against {found.a.name}: a single run tells nothing with confidence"
    return f"NONE WORSE  {found.b.name} against {found.a.name}: no regression shown"
