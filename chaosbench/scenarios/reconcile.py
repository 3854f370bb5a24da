"""The ledger against every node, once the cluster is whole again."""

from __future__ import annotations

from collections.abc import Mapping

from chaosbench import postgres
from chaosbench.clock import Clock
from chaosbench.ledger import Ledger, LedgerCheck
from chaosbench.model.cluster import Login, Member, Role, Snapshot
from chaosbench.model.report import LedgerNode, LedgerReport
from chaosbench.outcome import Outcome
from chaosbench.replication import caught_up
from chaosbench.scenarios.losses import losses

_NAMED = 1000
_READ_S = 120.0
_CATCH_UP_S = 60.0


async def reconcile(
    ledger: Ledger, snapshot: Snapshot, login: Login, clock: Clock, forks: Mapping[int, int]
) -> LedgerReport:
    """Compare the acknowledged ids with what each node holds.

    A row counts as lost when any node that could be read lacks it. Replicas are
    given time to replay what the leader has; a node that does not get there is
    read all the same, and the report is then not ``checked``.

    forks:  see :func:`~chaosbench.scenarios.losses.losses`
    """
    notes: list[str] = []
    try:
        ready = await caught_up(snapshot, login, clock, _CATCH_UP_S)
    except postgres.QueryError as error:
        ready = ()
        notes.append(str(error))
    checks: list[LedgerCheck] = []
    for node in snapshot.of(Role.POSTGRES):
        if node not in ready:
            notes.append(f"{node.name} had not replayed everything")
        try:
            checks.append(ledger.check(node.name, await _rows(node, login, ledger.run)))
        except postgres.QueryError as error:
            notes.append(f"{node.name} could not be read: {error}")
    return report_of(ledger, checks, notes, forks)


async def _rows(node: Member, login: Login, run: int) -> list[int]:
    rows = await postgres.fetch(
        node.ports["sql"], login, "SELECT id FROM chaosbench_ledger WHERE run = $1", run, timeout=_READ_S
    )
    return [row["id"] for row in rows]


def report_of(
    ledger: Ledger, checks: list[LedgerCheck], notes: list[str], forks: Mapping[int, int] | None = None
) -> LedgerReport:
    """The comparisons with all nodes as one report; ``notes`` say what could not be compared."""
    lost = sorted({row for check in checks for row in check.lost})
    recovered = {row for check in checks for row in check.recovered}
    unexpected = sorted({row for check in checks for row in check.unexpected})
    return LedgerReport(
        run=ledger.run,
        attempted=len(ledger),
        acked=ledger.count(Outcome.OK),
        failed=ledger.count(Outcome.FAILED),
        unknown=ledger.count(Outcome.UNKNOWN),
        checked=not notes,
        note="; ".join(notes),
        lost=len(lost) if checks else None,
        recovered=len(recovered) if checks else None,
        unexpected=len(unexpected) if checks else None,
        lost_ids=tuple(lost[:_NAMED]),
        unexpected_ids=tuple(unexpected[:_NAMED]),
        nodes=tuple(
            LedgerNode(
                node=check.node,
                rows=check.rows,
                lost=len(check.lost),
                recovered=len(check.recovered),
                unexpected=len(check.unexpected),
                lost_ids=check.lost[:_NAMED],
                recovered_ids=check.recovered[:_NAMED],
                unexpected_ids=check.unexpected[:_NAMED],
            )
            for check in checks
        ),
        unknown_ids=ledger.unknown_ids()[:_NAMED],
        losses=losses(ledger, lost, forks or {}),
    )
