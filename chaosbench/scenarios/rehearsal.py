"""``run --dry-run``: all the checks of a run, and whom its faults would hit now. Nothing is touched."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from itertools import islice

from chaosbench.cluster import Cluster
from chaosbench.errors import TargetError
from chaosbench.injectors.targets import resolve
from chaosbench.model.cluster import Snapshot
from chaosbench.scenarios.plan import SHOWN, planned, seed_of
from chaosbench.scenarios.plan_table import at, columns, trials_of
from chaosbench.scenarios.preflight import require_faults, require_room
from chaosbench.scenarios.scenario import PlannedFault, Scenario

_HEAD = ("at", "fault", "injector", "target", "would hit now")


async def rehearse(
    scenarios: Sequence[Scenario], cluster: Cluster, seed: int, only: int | None, say: Callable[[str], None]
) -> int:
    """Check and resolve everything; the exit code: 0, or 3 when something would keep the run from going well.

    only:  of scenarios with trials, only this trial
    Raises what the checks before a run raise.
    """
    await require_faults(scenarios, cluster)
    for scenario in scenarios:
        await require_room(scenario, cluster)
    snapshot, containers = await cluster.snapshot(), await cluster.containers()
    problems = [f"not healthy: {problem}" for problem in snapshot.problems()]
    say(f"dry run, seed {seed}: nothing is touched")
    for each in scenarios:
        for scenario, own, trial in trials_of(each, seed, only):
            say(f"{scenario.name}" + (f", trial {trial.number} of {trial.of}" if trial else ""))
            rows: list[tuple[str, ...]] = [_HEAD]
            for fault in islice(planned(scenario, own), SHOWN):
                names, problem = _hit(fault, snapshot, containers, seed_of(scenario, own))
                rows.append((at(fault), fault.name, fault.injector.kind, fault.injector.target, names))
                problems += [f"{scenario.name}, {fault.name}: {problem}"] if problem else []
            for line in columns(rows) if len(rows) > 1 else ("  no faults",):
                say(line)
    for problem in dict.fromkeys(problems):
        say(problem)
    return 3 if problems else 0


def _hit(fault: PlannedFault, snapshot: Snapshot, containers: Mapping[str, str], seed: str) -> tuple[str, str]:
    """The members' names, as the run would choose them on a cluster like this; else why there are none."""
    rng = random.Random(f"{seed}/{fault.name}")  # noqa: S311 - not for secrets
    try:
        members = resolve(fault.injector.target, fault.injector, snapshot, rng, containers)
    except TargetError as error:
        return "nobody", str(error)
    return ", ".join(member.name for member in members), ""
