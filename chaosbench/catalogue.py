"""What ``chaosbench list`` says: the tables of injectors, workloads and metrics, made from the tables themselves.

Whether what the injectors need can be had is asked of the lab that is up; without one the rest is told all the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from chaosbench.cluster.docker import DockerCluster
from chaosbench.errors import ClusterUnavailable
from chaosbench.expectations import METRICS
from chaosbench.injectors.table import INJECTORS
from chaosbench.model.faults import Need
from chaosbench.scenarios.loader import load
from chaosbench.scenarios.plan_table import when
from chaosbench.scenarios.validate import keys_of
from chaosbench.units import lasting
from chaosbench.workload import WORKLOADS


def listing(what: str, lab: Path | None = None) -> Iterator[str]:
    """The lines for ``injectors``, ``workloads``, ``metrics``, ``all``, or the path of a scenario file.

    lab:  the directory of the lab that is asked what it can do; None for none
    """
    parts = {"injectors": lambda: _injectors(lab), "workloads": _workloads, "metrics": _metrics}
    if what in parts:
        yield from parts[what]()
    elif what == "all":
        for part in parts.values():
            yield from part()
            yield ""
    else:
        yield from _scenarios(Path(what))


def _injectors(lab: Path | None) -> Iterator[str]:
    lacking = _asked(lab)
    yield "injectors (under 'faults', with 'at' and 'inject'):"
    indent = " " * (max(map(len, INJECTORS)) + 4)
    for (_, cls), line in zip(INJECTORS.items(), _settings(INJECTORS), strict=True):
        yield line
        yield indent + _needs(cls.needs, lacking)


def _needs(needs: frozenset[Need], lacking: Mapping[Need, str | None] | str) -> str:
    if not needs:
        return "needs: nothing but the engine"
    words = f"needs: {', '.join(sorted(needs))}; can this machine do it: "
    if isinstance(lacking, str):
        return f"{words}not asked: {lacking}"
    reasons = [f"{need}: {lacking[need]}" for need in sorted(needs) if lacking[need] is not None]
    return words + (f"no: {'; '.join(reasons)}" if reasons else "yes")


def _asked(lab: Path | None) -> Mapping[Need, str | None] | str:
    """Why each need that an injector has cannot be had, None where it can; or why nobody was asked."""
    needs = sorted(frozenset[Need]().union(*(cls.needs for cls in INJECTORS.values())))

    async def ask(directory: Path) -> Mapping[Need, str | None]:
        async with DockerCluster.at(directory) as cluster:
            await cluster.containers()  # a lab must be up
            return {need: await cluster.lacks(need) for need in needs}

    if lab is None:
        return "no lab is here"
    try:
        return asyncio.run(ask(lab))
    except ClusterUnavailable as error:
        return f"no lab is up ({error})"


def _workloads() -> Iterator[str]:
    yield "workloads (under 'load', with 'workload' and either 'rate' or 'clients'):"
    yield from _settings(WORKLOADS)


def _settings(table: Mapping[str, type[Any]]) -> Iterator[str]:
    width = max(map(len, table))
    for name, cls in table.items():
        first_line = (cls.__doc__ or "").strip().splitlines()[0]
        keys = f"  [{', '.join(keys_of(cls))}]" if keys_of(cls) else ""
        yield f"  {name:<{width}}  {first_line}{keys}"


def _metrics() -> Iterator[str]:
    yield "metrics (under 'expect', with a limit):"
    width = max(map(len, METRICS))
    for name, metric in METRICS.items():
        yield f"  {name:<{width}}  {metric.meaning} ({metric.unit})"


def _scenarios(file: Path) -> Iterator[str]:
    for scenario in load(file).scenarios:
        yield f"{scenario.name}  {lasting(scenario.duration)}  {scenario.description}"
        for fault in scenario.faults:
            yield f"    {when(fault.schedule)}  {fault.name}"
