"""Steps of a scenario that wait: for a whole cluster, for the measurement's end, for the ledger's comparison."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from chaosbench.cluster.health import await_healthy
from chaosbench.errors import ClusterUnavailable
from chaosbench.events import Kind
from chaosbench.ledger import Ledger
from chaosbench.model.cluster import Snapshot
from chaosbench.model.report import LedgerReport
from chaosbench.recorder.recorder import Recorder
from chaosbench.scenarios.faults import Faults
from chaosbench.scenarios.scenario import Scenario
from chaosbench.scenarios.stopping import sleep_or_stop, stopped

if TYPE_CHECKING:
    from chaosbench.scenarios.run import Bench


async def healthy(bench: Bench, timeout: float, stage: str) -> Snapshot:
    """Wait until the cluster is whole, telling what is still missing."""
    bench.hub.say(Kind.STAGE, name=stage, detail="")

    def missing(problems: tuple[str, ...]) -> None:
        if problems:
            bench.hub.say(Kind.STAGE, name=stage, detail="; ".join(problems))

    return await await_healthy(bench.cluster, bench.clock, timeout, missing)


async def measure(seconds: float, faults: Faults, recorder: Recorder, bench: Bench, broken: asyncio.Event) -> bool:
    """Load and faults for so long, unless the load breaks; every fault is healed on return. True if stopped early."""
    injecting = asyncio.create_task(faults.run(recorder.started_ns))
    try:
        return await sleep_or_stop(seconds, bench.stop, broken)
    finally:
        if injecting.done():
            injecting.result()
        else:
            bench.hub.say(Kind.STAGE, name="heal", detail="")
            await stopped(injecting)


async def recovered(scenario: Scenario, bench: Bench, before: Snapshot) -> tuple[bool, Snapshot]:
    """Whether the cluster became whole again in time, and how it stands (how it stood, if nobody can tell)."""
    try:
        return True, await healthy(bench, scenario.recovery, "recover")
    except ClusterUnavailable as error:
        bench.hub.say(Kind.WARNING, text=str(error))
    try:
        return False, await bench.cluster.snapshot()
    except ClusterUnavailable:
        return False, before


async def ledger_report(ledger: Ledger, bench: Bench, snapshot: Snapshot) -> LedgerReport | None:
    """The ledger against every node; None without one."""
    if not len(ledger):
        return None
    bench.hub.say(Kind.STAGE, name="ledger", detail=f"{len(ledger)} rows on every node")
    return await bench.database.reconcile(ledger, snapshot)
