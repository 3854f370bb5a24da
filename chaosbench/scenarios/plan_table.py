"""A plan for reading, and as JSON: what ``chaosbench plan`` prints."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from chaosbench.scenarios.plan import SHOWN, planned
from chaosbench.scenarios.scenario import PlannedFault, Scenario
from chaosbench.scenarios.trials import Trial, trial_of
from chaosbench.schedule import Schedule
from chaosbench.units import finite, lasting

_HEAD = ("at", "fault", "injector", "target", "hold", "when")


def trials_of(scenario: Scenario, seed: int, only: int | None = None) -> Iterator[tuple[Scenario, int, Trial | None]]:
    """The scenario as it will be run: itself with the run's seed, or each of its trials with the trial's own."""
    if scenario.trials == 1:
        yield scenario, seed, None
        return
    for number in range(1, scenario.trials + 1) if only is None else (only,):
        trial = trial_of(scenario, seed, number)
        yield trial.scenario, trial.seed, trial


def table(scenario: Scenario, seed: int, trial: Trial | None) -> Iterator[str]:
    """The lines of one plan."""
    of = f", trial {trial.number} of {trial.of}" if trial else ""
    later = f", faults {scenario.offset:.3f} s later" if scenario.offset else ""
    yield f"{scenario.name}{of}: {lasting(scenario.duration)} of load, seed {seed}{later}"
    if not scenario.faults:
        yield "  no faults"
        return
    faults, more = _shown(scenario, seed)
    yield from columns([_HEAD, *map(_row, faults)])
    if more:
        yield f"  and so on: only the first {SHOWN} are shown"
    limits = [f"{scenario.cool_down:g} s of a whole cluster between two faults"] if scenario.cool_down else []
    limits += [f"at most {scenario.budget} faults"] if scenario.budget else []
    if limits:
        yield f"  {', '.join(limits)}: a fault that this holds back waits, or is left out"


def _shown(scenario: Scenario, seed: int) -> tuple[list[PlannedFault], bool]:
    """The first faults of a plan, and whether there are more."""
    found = list(islice(planned(scenario, seed), SHOWN + 1))
    return found[:SHOWN], len(found) > SHOWN


def as_json(scenarios: Iterable[Scenario], seed: int, only: int | None = None) -> str:
    """All plans as one JSON document; times in seconds."""
    plans = [
        {
            "scenario": scenario.name,
            "trial": trial.number if trial else None,
            "seed": own,
            "duration_s": finite(scenario.duration),
            "cool_down_s": scenario.cool_down,
            "budget": str(scenario.budget) if scenario.budget else None,
            "faults": [_object(fault) for fault in _shown(scenario, own)[0]],
            "more": _shown(scenario, own)[1],
        }
        for each in scenarios
        for scenario, own, trial in trials_of(each, seed, only)
    ]
    return json.dumps({"seed": seed, "plans": plans}, indent=2)


def when(schedule: Schedule) -> str:
    """A rule in a few words: ``10 s``, ``every 60 s``, ``about every 60 s``, ``healthy``."""
    awaited = " and ".join(map(str, schedule.conditions))
    if schedule.at is not None:
        clock = f"{schedule.at:g} s"
    elif schedule.every is not None:
        jitter = f" + 0 to {schedule.jitter:g} s" if schedule.jitter else ""
        clock = f"every {schedule.every:g} s{jitter}"
    elif schedule.mtbf is not None:
        clock = f"about every {schedule.mtbf:g} s"
    else:
        return f"when {awaited}"
    return f"{clock} when {awaited}" if awaited else clock


def columns(rows: list[tuple[str, ...]]) -> Iterator[str]:
    """Rows with their cells under each other; the first cell is a number and stands to the right."""
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    for first, *rest in rows:
        cells = (cell.ljust(width) for cell, width in zip(rest, widths[1:], strict=True))
        yield "  ".join(("", first.rjust(widths[0]), *cells)).rstrip()


def at(fault: PlannedFault) -> str:
    """Its time; with ``>=`` where it may have to wait."""
    waits = fault.schedule.conditions or fault.wait or (fault.schedule.chained and fault.cycle > 1)
    return f"{'>= ' if waits else ''}{fault.at:.3f} s"


def _row(fault: PlannedFault) -> tuple[str, ...]:
    hold = f"{fault.held:g} s" if fault.held else "-"
    return at(fault), fault.name, fault.injector.kind, fault.injector.target, hold, _conditions(fault)


def _conditions(fault: PlannedFault) -> str:
    words = [str(condition) for condition in fault.schedule.conditions]
    if fault.wait:
        words.append(f"{fault.wait:g} s after the step before")
    return ", ".join(words)


def _object(fault: PlannedFault) -> dict[str, Any]:
    return {
        "at_s": fault.at,
        "fault": fault.name,
        "entry": fault.source,
        "injector": fault.injector.kind,
        "target": fault.injector.target,
        "hold_s": fault.held,
        "wait_s": fault.wait,
        "when": [str(condition) for condition in fault.schedule.conditions],
    }
