"""The database as a run uses it: tables, connections for the load, the ledger afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from chaosbench import postgres
from chaosbench.clock import Clock
from chaosbench.cluster import Cluster
from chaosbench.cluster.settings import flat
from chaosbench.dataset import Progress, prepare
from chaosbench.engine.session import Connect, PostgresConnect
from chaosbench.errors import ClusterUnavailable
from chaosbench.ledger import Ledger
from chaosbench.model.cluster import Role, Snapshot
from chaosbench.model.report import LedgerReport
from chaosbench.scenarios.ledger_rows import LedgerRows, LiveLedgerRows
from chaosbench.scenarios.reconcile import reconcile
from chaosbench.scenarios.scenario import Scenario, Stream

STATEMENT_TIMEOUT_SHARE = 0.9
"""The server gives up a little before the client: a slow statement then ends with a known outcome."""

_SETTINGS = """
SELECT name, current_setting(name) AS value FROM pg_settings
WHERE name = 'server_version'
   OR name IN ('fsync', 'full_page_writes', 'synchronous_commit', 'wal_log_hints', 'wal_keep_size')
   OR source IN ('configuration file', 'command line', 'global', 'database', 'user')
"""
"""What somebody has set, and what decides about losses even where nobody did."""


class Database(Protocol):
    """What a run asks of the database; the tests have one in memory."""

    async def prepare(self, scenario: Scenario, snapshot: Snapshot, progress: Progress) -> None:
        """Make the tables that the scenario's workloads need."""
        ...

    async def connector(self, stream: Stream) -> Connect:
        """How this stream's clients connect."""
        ...

    async def reconcile(self, ledger: Ledger, snapshot: Snapshot) -> LedgerReport:
        """Compare the ledger with every node."""
        ...

    async def versions(self, snapshot: Snapshot) -> Mapping[str, str]:
        """PostgreSQL's version and settings, for the report."""
        ...

    def ledger_rows(self) -> LedgerRows:
        """The ledger's rows, to settle them while the load runs."""
        ...


@dataclass(frozen=True, slots=True)
class LiveDatabase:
    """The real one: clients go through Pgpool; tables and ledger are looked at on the nodes themselves."""

    cluster: Cluster
    clock: Clock

    async def prepare(self, scenario: Scenario, snapshot: Snapshot, progress: Progress) -> None:
        """Make the tables that the scenario's workloads need."""
        workloads = [stream.workload for stream in scenario.streams]
        needs = frozenset[str]().union(*(workload.data for workload in workloads))
        setup = tuple(statement for workload in workloads for statement in workload.setup)
        await prepare(snapshot, self.cluster.login, self.clock, needs, scenario.scale, setup, progress)

    async def connector(self, stream: Stream) -> Connect:
        """Through Pgpool, with the stream's own application name."""
        return PostgresConnect(
            address=await self.cluster.proxy_address(),
            login=self.cluster.login,
            application=f"chaosbench:{stream.name}",
            statement_timeout=stream.settings.timeout * STATEMENT_TIMEOUT_SHARE,
        )

    async def reconcile(self, ledger: Ledger, snapshot: Snapshot) -> LedgerReport:
        """Compare the ledger with every node."""
        try:
            forks = await self.cluster.forks()
        except ClusterUnavailable:
            forks = {}  # the losses are then counted without it
        return await reconcile(ledger, snapshot, self.cluster.login, self.clock, forks)

    async def versions(self, snapshot: Snapshot) -> Mapping[str, str]:
        """As the first node that answers tells them, the leader before others; only what was set by somebody."""
        for node in sorted(snapshot.of(Role.POSTGRES), key=lambda node: node is not snapshot.leader):
            try:
                rows = await postgres.fetch(node.ports["sql"], self.cluster.login, _SETTINGS)
            except postgres.QueryError:
                continue
            found = {row["name"]: row["value"] for row in rows}
            version = found.pop("server_version")
            return {"postgresql": version, **dict(flat("postgresql", found))}
        return {}

    def ledger_rows(self) -> LedgerRows:
        """The ledger's rows, to settle them while the load runs."""
        return LiveLedgerRows(self.cluster.login, self.clock)
