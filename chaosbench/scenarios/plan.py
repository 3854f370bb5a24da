"""The plan of a scenario: every fault to come, by time, from the seed alone."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

from chaosbench.scenarios.scenario import PlannedFault, Scenario, ScheduledFault
from chaosbench.schedule import draws


def planned(scenario: Scenario, seed: int) -> Iterator[PlannedFault]:
    """The faults of a scenario (of a trial, with its seed) in the order of their times.

    Made as it is asked for: a scenario without an end has a plan without one.
    None is planned that would not be healed before the scenario is over.
    """
    text = seed_of(scenario, seed)
    return heapq.merge(*(occurrences(fault, scenario, text) for fault in scenario.faults), key=lambda fault: fault.at)


SHOWN = 1000
"""So many faults of a plan are shown; the plan itself may have no end."""


def first_faults(scenario: Scenario, seed: int, count: int = SHOWN) -> list[dict[str, object]]:
    """The plan as an event tells it: no more than ``count`` faults, for there may be no end of them."""
    found = islice(planned(scenario, seed), count)
    return [{"fault": fault.name, "at_s": fault.at, "hold_s": fault.held} for fault in found]


def seed_of(scenario: Scenario, seed: int) -> str:
    """What the generators of a scenario's faults are seeded with, a fault's name added."""
    return f"{seed}/{scenario.name}"


def occurrences(fault: ScheduledFault, scenario: Scenario, seed: str) -> Iterator[PlannedFault]:
    """Those of one entry, in their order. ``seed``: of the scenario, as ``seed_of`` makes it."""
    end = min(fault.schedule.end, latest_end(scenario))
    schedule = replace(fault.schedule, end=end)
    for number, draw in enumerate(draws(fault.name, schedule, fault.spans, fault.mode, seed), start=1):
        yield PlannedFault(
            name=f"{fault.name}-{number}" if fault.numbered else fault.name,
            at=round(draw.at + scenario.offset, 6),
            injector=fault.actions[draw.action].injector,
            hold=draw.hold,
            source=fault.name,
            cycle=draw.cycle,
            last=draw.last,
            wait=draw.wait,
            schedule=fault.schedule,
        )


def latest_end(scenario: Scenario) -> float:
    """When the last fault must be healed, offset not counted: every trial has the same faults."""
    shift = scenario.loop_wait if scenario.trials > 1 else 0.0
    return scenario.duration - shift if math.isfinite(scenario.duration) else math.inf


def last_start(plan: PlannedFault, scenario: Scenario) -> float:
    """When a fault may be injected at the latest, so that it is healed before the scenario is over."""
    return min(plan.schedule.end, latest_end(scenario)) - plan.held + scenario.offset
