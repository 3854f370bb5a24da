"""The report as Markdown: for an issue, a merge request, a lab book."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from chaosbench.model.report import Summary
from chaosbench.report import wording
from chaosbench.report.containers import HEADS, container_rows
from chaosbench.report.content import RunContent, SeriesContent
from chaosbench.report.folding import PHASES
from chaosbench.report.wording import quantity


def markdown(content: RunContent | SeriesContent) -> str:
    """A run or a series, verdict first."""
    lines = _run(content.results.summary) if isinstance(content, RunContent) else _series(content)
    return "\n".join(lines) + "\n"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A table; a bar in a cell is escaped, so that it does not end it."""
    yield ""
    for row in (heads, ["---"] * len(heads), *rows):
        yield "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |"
    yield ""


def _run(summary: Summary) -> Iterator[str]:
    yield f"# {summary.verdict.value.upper()}: {summary.scenario}"
    yield ""
    yield wording.headline(summary) + (f" Why {summary.verdict.value}: {summary.why}." if summary.why else "")
    yield ""
    yield f"{summary.started_at}, {summary.duration_s:.0f} s of load, seed {summary.seed}."
    yield from table(
        ("expected", "verdict", "measured", "note"),
        [
            (f"`{wording.limit(one)}`", one.verdict.value, quantity(one.value, one.unit), one.why)
            for one in summary.expectations
        ],
    )
    if summary.faults:
        yield "## Faults"
        yield from table(
            ("fault", "what happened", "RTO", *PHASES),
            [
                (
                    fault.name,
                    wording.fault_sentence(fault),
                    wording.rto(fault),
                    *(quantity(getattr(fault.phases, f"{name}_s", None), "s") for name in PHASES),
                )
                for fault in summary.faults
            ],
        )
    if summary.error_windows:
        yield "## Error windows"
        heads = ("class", "fault", "from", "for", "longest gap", "failed", "unknown", "shed")
        yield from table(heads, [wording.window_cells(window) for window in summary.error_windows])
    yield "## Latency"
    yield from table(
        ("", "p50", "p90", "p99", "p99.9", "max", "count"),
        [
            (
                name,
                *(quantity(value, "ms") for value in (one.p50, one.p90, one.p99, one.p999, one.max)),
                f"{one.count:,}",
            )
            for name, one in (
                ("response, acknowledged", summary.latency_ms.response),
                ("response, every outcome", summary.latency_ms.response_all),
                ("service, acknowledged", summary.latency_ms.service),
            )
        ],
    )
    if summary.containers:
        yield "## Containers"
        yield from table(HEADS, container_rows(summary))
    yield from (f"Warning: {warning}\n" for warning in summary.warnings)


def _series(content: SeriesContent) -> Iterator[str]:
    report = content.results.report
    yield f"# {report.verdict.value.upper()}: {report.scenario}, {len(report.trials)} trials"
    yield ""
    yield wording.trials_headline(report) + (f" Why {report.verdict.value}: {report.why}." if report.why else "")
    yield from table(
        ("trial", "verdict", "state", "RTO", "seed", "why"),
        [
            (
                str(trial.number),
                trial.verdict.value,
                trial.state.value,
                wording.trial_rto(content.results.trials[trial.number].summary)
                if trial.number in content.results.trials
                else wording.NONE,
                str(trial.seed),
                trial.why,
            )
            for trial in report.trials
        ],
    )
    for fault, metrics in wording.by_fault(report):
        yield f"## {f'Fault {fault}' if fault else 'Over the trials'}"
        yield from table(
            ("figure", "median", "q1", "q3", "min", "max", "n"),
            [
                (
                    one.metric,
                    *(
                        quantity(value, one.unit)
                        for value in (
                            one.spread.median,
                            one.spread.q1,
                            one.spread.q3,
                            one.spread.min,
                            one.spread.max,
                        )
                    ),
                    str(one.spread.n),
                )
                for one in metrics
            ],
        )
