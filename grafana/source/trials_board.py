"""*Trials*: the distribution of what repeated trials gave."""

from __future__ import annotations

from parts import Board, Query, bars, choices, figure, lines, marks, spread

PHASES = "detection|election|promotion|proxy|client"
KEPT = 'last_over_time(chaosbench_{}_seconds{{scenario=~"$scenario"{}}}[$__range])'
ABSENT = "a phase that did not happen is absent"


def board() -> Board:
    """The dashboard."""
    text = "Repeated trials: RTO as a distribution, its phases stacked, trial by trial."
    result = Board("trials", "chaosbench: Trials", text, since="now-24h", refresh="30s")
    choices(result)
    marks(result)
    _spread(result)
    _phases(result)
    return result


def _spread(board: Board) -> None:
    board.row("RTO")
    rto = KEPT.format("rto", "")
    figure(
        board, "Trial", "The one that runs.",
        Query('max(chaosbench_trial{scenario=~"$scenario"})', empty="only while a trial runs"),
    )  # fmt: skip
    figure(board, "Measured", "Faults in this time range.", Query(f"count({rto})", instant=True))
    for quantile, name in ((0.5, "Median"), (0.95, "p95"), (1, "Longest")):
        query = Query(f"quantile({quantile}, {rto})", instant=True)
        figure(board, name, "Of the RTOs in this time range.", query, unit="s")
    figure(
        board, "Never recovered", "No RTO: they are in none of the other figures.",
        Query(
            'sum(increase(chaosbench_faults_measured_total{result="not_recovered"}[$__range])) or vector(0)',
            instant=True,
        ),
        bad=1,
    )  # fmt: skip
    spread(
        board, "RTO, distribution", "How many faults took how long.",
        Query(rto, "{{scenario}} {{trial}} {{fault}}", instant=True),
    )  # fmt: skip
    lines(
        board, "RTO, one after the other", "A trend here is a cluster that does not come back quite as it was.",
        Query(
            'max by (scenario, fault) '
            '(last_over_time(chaosbench_rto_seconds{scenario=~"$scenario"}[$__rate_interval]))',
            "{{scenario}} {{fault}}",
        ),
        unit="s", points=True,
    )  # fmt: skip


def _phases(board: Board) -> None:
    board.row("Phases")
    bars(
        board, "Phases of the RTO, by trial", "They follow each other, and together are the RTO.",
        Query(
            "sum by (trial, phase) (" + KEPT.format("phase", f',phase=~"{PHASES}"') + ")",
            "{{phase}}", instant=True, empty=ABSENT,
        ),
        x="trial",
    )  # fmt: skip
    for phase in (*PHASES.split("|"), "redundancy"):
        spread(
            board, phase.capitalize(), f"How many faults had how long a phase of {phase}.",
            Query(KEPT.format("phase", f',phase="{phase}"'), "{{trial}} {{fault}}", instant=True, empty=ABSENT),
            width=8,
        )  # fmt: skip
