"""What was set differently: the cluster's and the machine's settings, and the scenario as it stands in its file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import yaml

from chaosbench.model.report import Summary

ABSENT = "-"


@dataclass(frozen=True, slots=True)
class Difference:
    """A setting and its value in each of those compared; ``-`` where it is not set."""

    name: str
    values: tuple[str, ...]


def differences(summaries: Sequence[Summary]) -> tuple[Difference, ...]:
    """Everything that is not the same in all, by name."""
    each = [_settings(summary) for summary in summaries]
    names = dict.fromkeys(name for one in each for name in one)
    rows = (Difference(name, tuple(one.get(name, ABSENT) for one in each)) for name in names)
    return tuple(row for row in rows if len(set(row.values)) > 1)


def _settings(summary: Summary) -> dict[str, str]:
    """The environment as it is; of the scenario file what holds for this scenario."""
    members = {name.split(".")[1] for name in summary.environment if name.startswith("limits.")}
    size = {"members": ", ".join(sorted(members))} if members else {}
    seed = {"seed": str(summary.seed)}
    return {"scenario": summary.scenario, **seed, **size, **dict(_scenario(summary)), **summary.environment}


def _scenario(summary: Summary) -> Iterator[tuple[str, str]]:
    try:
        file = yaml.safe_load(summary.scenario_file)
    except yaml.YAMLError:
        return
    if not isinstance(file, dict):
        return
    body = (file.get("scenarios") or {}).get(summary.scenario) or {}
    merged = {**(file.get("defaults") or {}), **body} if isinstance(body, dict) else {}
    merged.pop("description", None)
    yield from _leaves("scenario", merged)


def _leaves(prefix: str, value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(f"{prefix}.{key}", inner)
    elif isinstance(value, list):
        for number, inner in enumerate(value, start=1):
            yield from _leaves(f"{prefix}.{number}", inner)
    else:
        yield prefix, value if isinstance(value, str) else json.dumps(value, default=str)
