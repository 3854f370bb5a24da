"""*Cluster*: what the parts themselves tell, aligned with the faults."""

from __future__ import annotations

from parts import BLUE, GREEN, RED, YELLOW, Board, Query, choices, lines, marks, states

NODE = 'member=~"$node"'


def board() -> Board:
    """The dashboard."""
    text = "Roles, replication, WAL, etcd, Pgpool, containers: what the parts tell while faults hit them."
    result = Board("cluster", "chaosbench: Cluster", text)
    choices(result)
    marks(result)
    _roles(result)
    _postgres(result)
    _etcd(result)
    _containers(result)
    return result


def _roles(board: Board) -> None:
    board.row("Who is what")
    states(
        board, "Members, as Patroni tells", "Silent: Patroni does not answer.",
        Query(
            f'2 * max by (member) (patroni_primary{{{NODE}}}) + max by (member) (patroni_replica{{{NODE}}})'
            f' or max by (member) (up{{job="patroni",{NODE}}} - 1)', "{{member}}", slow=True,
        ),
        **{"v-1": ("silent", RED), "v0": ("neither", YELLOW), "v1": ("replica", GREEN), "v2": ("leads", BLUE)},
    )  # fmt: skip
    states(
        board, "Backends, as Pgpool has them", "Pgpool's own view; the reconciler makes it equal to Patroni's.",
        Query(
            'max by (backend) (pgpool_backend_up{backend=~"$node"})'
            ' + max by (backend) (pgpool_backend_primary{backend=~"$node"})', "{{backend}}", slow=True,
        ),
        v0=("down", RED), v1=("standby", GREEN), v2=("primary", BLUE),
    )  # fmt: skip
    lines(
        board, "Timeline", "Each promotion begins a new one; a member that stays behind has not joined it.",
        Query(f"patroni_postgres_timeline{{{NODE}}}", "{{member}}", slow=True),
    )  # fmt: skip
    states(
        board, "DCS", "Whether the cluster has a leader key, and whether etcd has a leader.",
        Query("1 - max(patroni_cluster_unlocked)", "leader key", slow=True),
        Query("max by (member) (etcd_server_has_leader)", "{{member}}", slow=True),
        v0=("none", RED), v1=("there", GREEN),
    )  # fmt: skip


def _postgres(board: Board) -> None:
    board.row("PostgreSQL")
    lines(
        board, "Lag of replay", "WAL that the newest location has and the member has not replayed.",
        Query(
            "scalar(max(patroni_xlog_location or patroni_xlog_received_location))"
            f" - (patroni_xlog_replayed_location{{{NODE}}} > 0)", "{{member}}", slow=True,
        ),
        unit="bytes",
    )  # fmt: skip
    lines(
        board, "WAL written", "On the member that leads.",
        Query(f"rate(patroni_xlog_location{{{NODE}}}[$__rate_interval])", "{{member}}", slow=True), unit="Bps",
    )  # fmt: skip
    lines(
        board, "WAL kept", "Size of pg_wal: it grows behind a slot that nobody reads.",
        Query(f"pg_wal_size_bytes{{{NODE}}}", "{{member}}", slow=True), unit="bytes",
    )  # fmt: skip
    lines(
        board, "Sessions", "In the database of the load.",
        Query(f'pg_stat_database_numbackends{{{NODE},datname="chaosbench"}}', "{{member}}", slow=True),
    )  # fmt: skip
    for what, name in (("xact_commit", "Commits"), ("xact_rollback", "Rollbacks")):
        lines(
            board, name, "In the database of the load; reads commit too.",
            Query(
                f'rate(pg_stat_database_{what}{{{NODE},datname="chaosbench"}}[$__rate_interval])',
                "{{member}}", slow=True,
            ),
            unit="ops",
        )  # fmt: skip


def _etcd(board: Board) -> None:
    board.row("etcd")
    lines(
        board, "Time of a write to disk", "p99 of fsync: Patroni's lease hangs on it.",
        Query(
            "histogram_quantile(0.99, sum by (le, member) "
            "(rate(etcd_disk_wal_fsync_duration_seconds_bucket[$__rate_interval])))", "{{member}}", slow=True,
        ),
        unit="s",
    )  # fmt: skip
    lines(
        board, "Proposals", "Applied by each member, and those that failed.",
        Query("rate(etcd_server_proposals_applied_total[$__rate_interval])", "{{member}} applied", slow=True),
        Query("rate(etcd_server_proposals_failed_total[$__rate_interval])", "{{member}} failed", slow=True),
        unit="ops",
    )  # fmt: skip


def _containers(board: Board) -> None:
    board.row("Containers")
    cores = "sum by (member) (rate(chaosbench_container_cpu_seconds_total[$__rate_interval]))"
    lines(board, "CPU", "Cores in use.", Query(cores, "{{member}}"))
    memory = Query("max by (member) (chaosbench_container_memory_bytes)", "{{member}}")
    lines(board, "Memory", "", memory, unit="bytes")
    for title, first, second in (("Disk", "read", "written"), ("Network", "receive", "transmit")):
        lines(
            board, title, f"{first} upward, and {second}.",
            *(
                Query(
                    f"sum by (member) (rate(chaosbench_container_{way}_bytes_total[$__rate_interval]))",
                    f"{{{{member}}}} {way}",
                )
                for way in (first, second)
            ),
            unit="Bps",
        )  # fmt: skip
