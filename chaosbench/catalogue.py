"""What ``chaosbench list`` says: the tables of injectors, workloads and metrics, made from the tables themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from chaosbench.expectations import METRICS
from chaosbench.injectors.table import INJECTORS
from chaosbench.scenarios.loader import load
from chaosbench.scenarios.plan_table import when
from chaosbench.scenarios.validate import keys_of
from chaosbench.workload import WORKLOADS


def listing(what: str) -> Iterator[str]:
    """The lines for ``injectors``, ``workloads``, ``metrics``, ``all``, or the path of a scenario file."""
    parts = {"injectors": _injectors, "workloads": _workloads, "metrics": _metrics}
    if what in parts:
        yield from parts[what]()
    elif what == "all":
        for part in parts.values():
            yield from part()
            yield ""
    else:
        yield from _scenarios(Path(what))


def _injectors() -> Iterator[str]:
    yield "injectors (under 'faults', with 'at' and 'inject'):"
    yield from _settings(INJECTORS)


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
        yield f"{scenario.name}  {scenario.duration:g} s  {scenario.description}"
        for fault in scenario.faults:
            yield f"    {when(fault.schedule)}  {fault.name}"
