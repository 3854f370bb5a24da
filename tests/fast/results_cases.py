"""Results directories for the tests of reports: real files of real runs, on a fake cluster and virtual time."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from rich.console import Console
from test_run import Rig, kill, scenario

from chaosbench.model.phases import PhaseReport
from chaosbench.model.report import Summary
from chaosbench.model.scenario import StreamSettings
from chaosbench.results import SUMMARY, RunDirectory
from chaosbench.scenarios.scenario import Scenario, Stream
from chaosbench.scenarios.turns import Run, scenarios_in_turn
from chaosbench.workload import LedgerWorkload, SelectOnly

YAML = (
    "defaults:\n  scale: 1\nscenarios:\n  test:\n    duration: 20s\n    trials: {trials}\n    expect: {{rto: <= 5s}}\n"
)
PHASES = PhaseReport(
    path="failover", t0_s=3.0, t1_s=3.001, t2_s=5.0, t3_s=6.0, t4_s=6.25, t5_s=6.5, t6_s=7.0, t7_s=9.0,
    within_s={}, detection_s=2.0, election_s=1.0, promotion_s=0.25, proxy_s=0.25, client_s=0.5, redundancy_s=6.0,
    degraded_tail_s=1.0, elections=1, hangs_at=None, why="", lease_ttl_s=2, etcd_leader="etcd1", etcd_hit=None,
    canary_t1_s=None, canary_t6_s=None, no_write_from_s=None, no_write_to_s=None, engine=(),
)  # fmt: skip


def failover(trials: int = 1, **changes: Any) -> Scenario:
    """A leader kill with readers and writers."""
    some = StreamSettings(rate="60/s", connections=3)  # type: ignore[arg-type]
    streams = (
        Stream(name="ledger", workload=LedgerWorkload(), settings=some),
        Stream(name="reads", workload=SelectOnly(), settings=some),
    )
    plain = {"streams": streams, "duration": 14.0, "trials": trials, "description": "<b>kill</b> & see"}
    return scenario((3.0, kill()), **{"expect": {"rto": "<= 5s", "p99": "<= 500us"}, **plain, **changes})


async def results(out: Path, planned: Scenario, delay: float = 4.0, *, reports: bool = False) -> Path:
    """Run it and return its directory; ``delay``: seconds that the failover takes."""
    rig = Rig()
    rig.cluster.failover_delay = delay
    bench = replace(rig.bench, scenario_file=YAML.format(trials=planned.trials))

    async def told(path: Path) -> str:
        return f"a report of {path.name}"

    console = Console(file=io.StringIO(), width=100)
    run = Run(
        bench=bench,
        file=Path("f.yaml"),
        scenarios=(planned,),
        out=out,
        console=console,
        report=told if reports else None,
    )
    await scenarios_in_turn(run)
    path = (out / "latest").resolve()
    assert isinstance(console.file, io.StringIO)
    (path / "said.txt").write_text(console.file.getvalue())
    return path


def rewrite(run: Path, **changes: Any) -> Summary:
    """Change fields of a run's summary, on disk too."""
    adapter = TypeAdapter(Summary)
    summary = replace(adapter.validate_json((run / SUMMARY).read_bytes()), **changes)
    RunDirectory(run).write(summary)
    return summary


def observed(run: Path) -> Summary:
    """Give a run's fault its phases, which the fake cluster has nobody to observe."""
    summary = TypeAdapter(Summary).validate_json((run / SUMMARY).read_bytes())
    (fault,) = summary.faults
    return rewrite(run, faults=(replace(fault, phases=PHASES, rto_s=4.0, t6_s=7.0),))
