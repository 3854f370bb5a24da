"""The ledger against every node, once the cluster is whole again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from chaosbench import postgres
from chaosbench.clock import Clock
from chaosbench.ledger import Ledger, LedgerCheck
from chaosbench.model.cluster import Login, Member, Role, Snapshot
from chaosbench.model.report import LedgerNode, LedgerReport
from chaosbench.outcome import Outcome
from chaosbench.replication import caught_up
from chaosbench.scenarios.ledger_rows import LiveLedgerRows
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
    if not notes:
        notes += await _checkpoints(ledger, ready, login, clock)
    checks: list[LedgerCheck] = []
    for node in snapshot.of(Role.POSTGRES):
        if node not in ready:
            notes.append(f"{node.name} had not replayed everything")
        try:
            checks.append(ledger.check(node.name, await _rows(node, login, ledger.run)))
        except postgres.QueryError as error:
            notes.append(f"{node.name} could not be read: {error}")
    return report_of(ledger, checks, notes, forks)


async def _checkpoints(ledger: Ledger, nodes: Iterable[Member], login: Login, clock: Clock) -> list[str]:
    """Whether every node still has the checkpoints of settled rows; says what could not be looked at."""
    notes: list[str] = []
    for node in nodes if ledger.settled.checkpoints else ():
        try:
            ledger.settled.missing(await LiveLedgerRows(login, clock).checkpoints(node, ledger.run))
        except postgres.QueryError as error:
            notes.append(f"{node.name}'s checkpoints could not be read: {error}")
    return notes


async def _rows(node: Member, login: Login, run: int) -> list[int]:
    rows = await postgres.fetch(
        node.ports["sql"], login, "SELECT id FROM chaosbench_ledger WHERE run = $1", run, timeout=_READ_S
    )
    return [row["id"] for row in rows]


def settled_so_far(ledger: Ledger) -> LedgerReport | None:
    """What is known while the load runs: of the rows that are settled. None without a ledger."""
    if not len(ledger):
        return None
    found = report_of(ledger, [], [])
    settled = ledger.settled
    if not settled.checkpoints:
        return replace(found, checked=False, note="nothing is settled yet")
    return replace(
        found,
        lost=len(settled.lost) + sum(settled.gone.values()),
        recovered=len(settled.recovered),
        unexpected=len(settled.unexpected),
        checked=not settled.gone,
        note=f"{len(settled.gone)} checkpoints are gone" if settled.gone else "",
    )


def report_of(
    ledger: Ledger, checks: list[LedgerCheck], notes: list[str], forks: Mapping[int, int] | None = None
) -> LedgerReport:
    """The comparisons with all nodes as one report, with what earlier ones found of rows that are settled.

    notes:  what could not be compared
    """
    settled = ledger.settled
    lost = sorted({row for check in checks for row in check.lost} | set(settled.lost))
    recovered = {row for check in checks for row in check.recovered} | set(settled.recovered)
    unexpected = sorted({row for check in checks for row in check.unexpected} | set(settled.unexpected))
    gone = sum(settled.gone.values())
    return LedgerReport(
        run=ledger.run,
        attempted=len(ledger),
        acked=ledger.count(Outcome.OK),
        failed=ledger.count(Outcome.FAILED),
        unknown=ledger.count(Outcome.UNKNOWN),
        checked=not notes,
        note="; ".join(notes),
        lost=len(lost) + gone if checks else None,
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
        unknown_ids=ledger.unknown_ids(_NAMED),
        losses=losses(ledger, lost, forks or {}),
    )
