"""*Run*: what the clients live through, faults marked."""

from __future__ import annotations

from grafana_foundation_sdk.models.common import BigValueTextMode
from parts import BLUE, GREEN, GREY, RED, Board, Query, choices, during, figure, lines, marks, states

LOAD = 'workload=~"$workload",class!="connect"'
NO_ERRORS = "no operation may have failed"


def board() -> Board:
    """The dashboard."""
    result = Board("run", "chaosbench: Run", "What the clients live through, second by second; faults are shaded.")
    choices(result)
    marks(result)
    _now(result)
    _load(result)
    _latency(result)
    _errors(result)
    _generator(result)
    return result


def _quantile(quantile: float, outcome: str, histogram: str = "latency") -> str:
    rate = f'rate(chaosbench_query_{histogram}_seconds_bucket{{{LOAD},outcome="{outcome}"}}[$__rate_interval])'
    return during(f"histogram_quantile({quantile}, sum by (le, class) ({rate}))")


def _now(board: Board) -> None:
    board.row("Now")
    figure(
        board,
        "Scenario",
        "The scenario that runs.",
        Query('chaosbench_scenario_info{run=~"$run",scenario=~"$scenario"}', "{{scenario}}"),
        text_mode=BigValueTextMode.NAME,
        none="none runs",
    )
    figure(
        board, "Acknowledged", "Operations a second.",
        Query(during(f'sum(rate(chaosbench_queries_total{{{LOAD},outcome="ok"}}[$__rate_interval]))')), unit="ops",
    )  # fmt: skip
    figure(
        board, "Not acknowledged", "Share of operations that ended otherwise: failed, unknown or shed.",
        Query(during(
            f'1 - sum(rate(chaosbench_queries_total{{{LOAD},outcome="ok"}}[$__rate_interval]))'
            f" / sum(rate(chaosbench_queries_total{{{LOAD}}}[$__rate_interval]))"
        )), unit="percentunit", bad=0.01,
    )  # fmt: skip
    figure(board, "Faults in place", "", Query(during("sum(chaosbench_fault_active)")), bad=1)
    figure(
        board, "Leader", "The node that leads.",
        Query("chaosbench_leader == 1", "{{node}}"), text_mode=BigValueTextMode.NAME, none="none",
    )  # fmt: skip
    figure(
        board, "Last error window of writes", "From the intended start of its first failure to its last.",
        Query('chaosbench_last_error_window_seconds{class="write"}', empty="no window of writes may have closed yet"),
        unit="s",
    )  # fmt: skip


def _load(board: Board) -> None:
    board.row("Load")
    rate = "sum(rate(chaosbench_{}_total{{{}}}[$__rate_interval]))"
    lines(
        board, "Offered and acknowledged", "Where the two part, clients wait or fail.",
        Query(during(rate.format("offered", LOAD)), "offered"),
        Query(during(rate.format("queries", LOAD + ',outcome="ok"')), "acknowledged"),
        unit="ops",
    )  # fmt: skip
    lines(
        board, "Waiting", "Arrived and not ended, and of those the ones that wait for a connection.",
        Query(during(f"sum(chaosbench_in_flight{{{LOAD}}})"), "in flight"),
        Query(during("chaosbench_backlog"), "of those in the backlog"),
    )  # fmt: skip


def _latency(board: Board) -> None:
    board.row("Latency, from the intended start")
    for name in ("ok", "not_ok"):
        words = "acknowledged" if name == "ok" else "not acknowledged"
        lines(
            board, f"Response time, {words}", "Percentiles by class. Logarithmic.",
            *(
                Query(_quantile(q, name), f"{{{{class}}}} p{100 * q:g}", empty="" if name == "ok" else NO_ERRORS)
                for q in (0.5, 0.95, 0.99)
            ),
            unit="s", log=True,
        )  # fmt: skip
    lines(
        board, "Service time, acknowledged", "From sending: what the cluster needs, without the wait before it.",
        *(Query(_quantile(q, "ok", "service"), f"{{{{class}}}} p{100 * q:g}") for q in (0.5, 0.99)), unit="s", log=True,
    )  # fmt: skip


def _errors(board: Board) -> None:
    lines(
        board, "Not acknowledged, by reason", "Failed, unknown and shed operations, by SQLSTATE or class.",
        Query(
            during(
                'sum by (class, outcome, reason) '
                '(rate(chaosbench_queries_total{workload=~"$workload",outcome!="ok"}[$__rate_interval])) > 0'
            ),
            "{{class}} {{outcome}} {{reason}}", empty=NO_ERRORS,
        ),
        unit="ops", stacked=True,
    )  # fmt: skip
    board.row("What happens")
    states(
        board, "Faults", "In place or healed.",
        Query(during("max by (fault, target) (chaosbench_fault_active)"), "{{fault}} {{target}}"),
        v0=("healed", GREY), v1=("in place", RED),
    )  # fmt: skip
    states(
        board, "Error windows", "By class of traffic.",
        Query(during("max by (class) (chaosbench_error_window_open)"), "{{class}}"),
        v0=("fine", GREEN), v1=("errors", RED),
    )  # fmt: skip
    states(
        board, "Leader", "As chaosbench sees it.",
        Query(during('max by (node) (chaosbench_leader{node=~"$node"})'), "{{node}}"),
        v0=("", GREY), v1=("leads", BLUE),
    )  # fmt: skip


def _generator(board: Board) -> None:
    lines(
        board, "The load generator itself", "Lateness of its event loop: above 10 ms its figures are suspect.",
        Query(
            during(
                "histogram_quantile(0.99, sum by (le) (rate(chaosbench_loop_lag_seconds_bucket[$__rate_interval])))"
            ),
            "p99",
        ),
        unit="s",
    )  # fmt: skip
