"""*Soak*: days at a glance."""

from __future__ import annotations

from parts import Board, Query, choices, figure, lines, marks

LOAD = 'workload=~"$workload",class!="connect"'


def board() -> Board:
    """The dashboard."""
    text = "Days at a glance: does it still run, do failovers get slower, is anything lost, does anything leak?"
    result = Board("soak", "chaosbench: Soak", text, since="now-7d", refresh="1m")
    choices(result)
    marks(result)
    _balance(result)
    _trends(result)
    _leaks(result)
    return result


def _over(expression: str) -> str:
    return f"sum(increase({expression}[$__range]))"


def _balance(board: Board) -> None:
    board.row("In all this time")
    figure(board, "Faults injected", "", Query(_over('chaosbench_faults_total{result="injected"}'), instant=True))
    figure(
        board, "Not healed", "Faults that chaosbench could not undo.",
        Query(_over('chaosbench_faults_total{result="heal_failed"}') + " or vector(0)", instant=True), bad=1,
    )  # fmt: skip
    figure(
        board, "Never recovered", "Faults after which writes did not come back.",
        Query(_over('chaosbench_faults_measured_total{result="not_recovered"}') + " or vector(0)", instant=True), bad=1,
    )  # fmt: skip
    figure(
        board, "Rows lost", "Acknowledged rows that the cluster no longer has.",
        Query(_over('chaosbench_ledger_rows_total{result="lost"}'), instant=True), bad=1,
    )  # fmt: skip
    figure(
        board, "Scenarios failed", "Verdicts other than pass.",
        Query(_over('chaosbench_verdicts_total{verdict!="pass"}') + " or vector(0)", instant=True), bad=1,
    )  # fmt: skip
    figure(
        board, "Without errors", "Share of the time outside error windows of writes.",
        Query(
            '1 - increase(chaosbench_error_window_seconds_total{class="write"}[$__range])'
            ' / on() (count_over_time(chaosbench_error_window_open{class="write"}[$__range]) * 2)', instant=True,
        ),
        unit="percentunit",
    )  # fmt: skip


def _trends(board: Board) -> None:
    board.row("Trends")
    lines(
        board, "RTO over time", "Each point is a measured fault; a rise over days is the finding.",
        Query(
            'max by (scenario, fault) '
            '(last_over_time(chaosbench_rto_seconds{scenario=~"$scenario"}[$__rate_interval]))',
            "{{scenario}} {{fault}}",
        ),
        unit="s", points=True,
    )  # fmt: skip
    lines(
        board, "Error windows", "Time inside them, a share of each hour.",
        Query("sum by (class) (rate(chaosbench_error_window_seconds_total[1h]))", "{{class}}"), unit="percentunit",
    )  # fmt: skip
    lines(
        board, "Throughput", "Acknowledged operations.",
        Query(f'sum(rate(chaosbench_queries_total{{{LOAD},outcome="ok"}}[5m]))', "acknowledged"), unit="ops",
    )  # fmt: skip
    lines(
        board, "Response time", "p99 of what was acknowledged, over five minutes.",
        Query(
            "histogram_quantile(0.99, sum by (le, class) "
            f'(rate(chaosbench_query_latency_seconds_bucket{{{LOAD},outcome="ok"}}[5m])))', "{{class}}",
        ),
        unit="s",
    )  # fmt: skip


def _leaks(board: Board) -> None:
    board.row("Leaks")
    own = '{job="chaosbench"}'
    lines(
        board, "Memory of chaosbench", "Resident. It must be flat over days.",
        Query(f"process_resident_memory_bytes{own}", "chaosbench"), unit="bytes",
    )  # fmt: skip
    lines(
        board, "Descriptors and tasks of chaosbench", "Both must be flat.",
        Query(f"process_open_fds{own}", "descriptors"), Query("chaosbench_tasks", "tasks"),
    )  # fmt: skip
    lines(
        board, "Databases", "Their growth, and that of WAL, fills the disk one day.",
        Query('max by (datname) (pg_database_size_bytes{datname="chaosbench"})', "{{datname}}", slow=True),
        Query("max by (member) (pg_wal_size_bytes)", "WAL on {{member}}", slow=True), unit="bytes",
    )  # fmt: skip
    lines(
        board, "etcd's database", "Of its quota: at 1 it takes no more writes, and the cluster no leader.",
        Query("etcd_mvcc_db_total_size_in_bytes / etcd_server_quota_backend_bytes", "{{member}}", slow=True),
        unit="percentunit",
    )  # fmt: skip
