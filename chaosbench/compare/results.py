"""What came out differently. A run has one value of each figure, a series one a trial."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from chaosbench.compare.effect import Effect, adjusted, effect
from chaosbench.expectations import METRICS, Metric
from chaosbench.model.report import Summary, Verdict
from chaosbench.report.reading import Results, RunResults

SURE = 0.05
VIOLATIONS = ("rpo", "unexpected", "split_brain")
"""One is one too many: a sample that has some where the other has none is worse, however small it is."""


class Judgement(StrEnum):
    """B against A."""

    BETTER = "better"
    WORSE = "worse"
    SAME = "no difference shown"
    UNSURE = "unsure"


@dataclass(frozen=True, slots=True)
class Sample:
    """One of those compared: its name and the summaries whose figures are counted."""

    name: str
    summaries: tuple[Summary, ...]

    def values(self, metric: Metric) -> tuple[float, ...]:
        """The figure of every summary that has it; latencies not from a generator that was suspect."""
        trusted = [one for one in self.summaries if not (metric.needs_timing and one.generator.suspect)]
        found = (metric.read(summary).value for summary in trusted)
        return tuple(value for value in found if value is not None)

    def never(self, metric: Metric) -> int:
        """In how many summaries what the figure measures did not end."""
        return sum(metric.read(summary).failed for summary in self.summaries)


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of A and of B.

    effect:     None when either has no value
    q:          the effect's p, adjusted for the number of figures looked at; None where there is no p
    a_never, b_never:  in how many trials what it measures never ended; those have no value
    """

    metric: str
    unit: str
    a: tuple[float, ...]
    b: tuple[float, ...]
    effect: Effect | None
    q: float | None
    judgement: Judgement
    a_never: int = 0
    b_never: int = 0

    @property
    def medians(self) -> tuple[float | None, float | None]:
        """Of A and of B."""
        return tuple(statistics.median(values) if values else None for values in (self.a, self.b))  # type: ignore[return-value]

    @property
    def violation(self) -> bool:
        """Whether B has of what there should be none, and A had none."""
        return self.metric in VIOLATIONS and any(self.b) and bool(self.a) and not any(self.a)


@dataclass(frozen=True, slots=True)
class Comparison:
    """B against A, figure by figure. ``broken`` names expectations that A always met and B did not always."""

    a: Sample
    b: Sample
    rows: tuple[Row, ...]
    broken: tuple[str, ...]

    @property
    def single(self) -> bool:
        """Whether A or B is a single run, which allows no statement of confidence."""
        return min(len(self.a.summaries), len(self.b.summaries)) < 2

    def regressions(self, tolerance: float) -> tuple[str, ...]:
        """What is worse, by more than this share of A's median; a broken expectation or a violation always is."""
        worse = [row.metric for row in self.rows if row.judgement is Judgement.WORSE and _beyond(row, tolerance)]
        return (*worse, *(f"expectation {text}" for text in self.broken))


def sample(results: Results, name: str) -> Sample:
    """What is compared of a run or of a series."""
    if isinstance(results, RunResults):
        return Sample(name, (results.summary,))
    return Sample(name, tuple(trial.summary for trial in results.trials.values()))


def comparison(a: Sample, b: Sample, only: Sequence[str] = ()) -> Comparison:
    """B against A, in these metrics or in all that either has."""
    rows = [row for name in (only or METRICS) if (row := _row(name, a, b)) is not None]
    tested = [row for row in rows if row.effect is not None and row.effect.p is not None]
    q_values = adjusted([row.effect.p for row in tested if row.effect and row.effect.p is not None])
    q_of = {row.metric: q for row, q in zip(tested, q_values, strict=True)}
    return Comparison(a, b, tuple(_judged(replace(row, q=q_of.get(row.metric))) for row in rows), tuple(_broken(a, b)))


def _row(name: str, a: Sample, b: Sample) -> Row | None:
    metric = METRICS[name]
    x, y = a.values(metric), b.values(metric)
    never = a.never(metric), b.never(metric)
    if not x and not y and not any(never):
        return None
    found = effect(x, y) if x and y else None
    return Row(name, metric.unit, x, y, found, None, Judgement.UNSURE, *never)


def _judged(row: Row) -> Row:
    if row.violation or (row.b_never and not row.a_never):
        return replace(row, judgement=Judgement.WORSE)
    if row.effect is None or row.q is None:
        return row
    if row.q > SURE or row.effect.shift == 0:
        return replace(row, judgement=Judgement.SAME)
    gain = row.effect.shift > 0 if METRICS[row.metric].higher_is_better else row.effect.shift < 0
    return replace(row, judgement=Judgement.BETTER if gain else Judgement.WORSE)


def _beyond(row: Row, tolerance: float) -> bool:
    before, after = row.medians
    if row.violation or row.b_never or before is None or after is None:
        return True
    return abs(after - before) > tolerance * abs(before)


def _broken(a: Sample, b: Sample) -> Iterator[str]:
    kept = [{f"{one.metric} {one.text}" for one in s.expectations if one.verdict is Verdict.PASS} for s in a.summaries]
    always = set.intersection(*kept) if kept else set()
    failed = dict.fromkeys(
        f"{one.metric} {one.text}" for s in b.summaries for one in s.expectations if one.verdict is Verdict.FAIL
    )
    yield from (text for text in failed if text in always)
