"""The schedule keys of an entry under ``faults``, and what cannot be right about them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import BeforeValidator, Field
from pydantic.dataclasses import dataclass

from chaosbench.model.scenario import STRICT
from chaosbench.scenarios.scenario import ScheduledFault
from chaosbench.schedule import Condition, Mode, Schedule, State
from chaosbench.units import Seconds, parse_duration

_CONDITIONS = "write healthy, steady, or {healed: the name of a fault}; or a list of them"


def _condition(value: Any) -> Condition:
    if isinstance(value, Condition):
        return value
    if value in (State.HEALTHY, State.STEADY):
        return Condition(State(value))
    if isinstance(value, dict) and list(value) == ["healed"] and isinstance(value["healed"], str):
        return Condition(State.HEALED, value["healed"])
    raise ValueError(f"{value!r} is no condition: {_CONDITIONS}")


def _conditions(value: object) -> tuple[Condition, ...]:
    found = tuple(map(_condition, value if isinstance(value, list | tuple) else [value]))
    if isinstance(value, list) and not value:
        raise ValueError(f"an empty list is no condition: {_CONDITIONS}")
    return found


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Timing:
    """The schedule keys of a fault."""

    name: str = ""
    at: Seconds | None = None
    every: Seconds | None = Field(default=None, ge=0.1)
    jitter: Seconds = 0.0
    mtbf: Seconds | None = Field(default=None, ge=0.1)
    from_: Seconds | None = Field(default=None, alias="from")
    until: Seconds | None = Field(default=None, gt=0)
    times: int | None = Field(default=None, ge=1, le=1_000_000)
    when: Annotated[tuple[Condition, ...], BeforeValidator(_conditions)] = ()

    def schedule(self) -> Schedule:
        """The rule that the keys stand for."""
        return Schedule(
            at=self.at,
            every=self.every,
            mtbf=self.mtbf,
            jitter=self.jitter,
            start=self.from_,
            end=math.inf if self.until is None else self.until,
            times=self.times,
            conditions=self.when,
        )

    def problems(self) -> Iterator[tuple[str, str]]:
        """Keys that do not go together: each with what is wrong, and what to write instead."""
        clocks = [key for key in ("at", "every", "mtbf") if getattr(self, key) is not None]
        if len(clocks) > 1:
            yield clocks[1], f"{clocks[0]!r} and {clocks[1]!r} exclude each other: keep one of at, every, mtbf"
        if not clocks and not self.when:
            yield "", "'at' is missing; say when it comes with one of at, every, mtbf, when"
        if self.jitter and self.every is None:
            yield "jitter", "'jitter' has no meaning without 'every'"
        elif self.every is not None and self.jitter >= self.every:
            yield "jitter", f"jitter: {self.jitter:g}s must be shorter than 'every' ({self.every:g}s)"
        if self.at is not None:
            for key, value in (("from", self.from_), ("until", self.until), ("times", self.times)):
                if value is not None:
                    yield key, f"{key!r} has no meaning with 'at': write 'every' or 'mtbf' for a fault that comes again"
        if self.until is not None and self.until <= (self.from_ or 0.0):
            yield "until", f"until: {self.until:g}s is not after 'from' ({self.from_ or 0.0:g}s)"


def parse_hold(value: object) -> tuple[float, float] | None:
    """The ends of a range of durations, as in ``10s..30s``; None for what is no range.

    ValueError when it is one, but not a right one.
    """
    if not isinstance(value, str) or ".." not in value:
        return None
    low, _, high = value.partition("..")
    ends = parse_duration(low), parse_duration(high)
    if ends[0] >= ends[1]:
        raise ValueError(f"{value!r} is no range: write the short end first, as in 10s..30s")
    return ends


def fitting(fault: ScheduledFault, duration: float, shift: float) -> Iterator[tuple[str, str]]:
    """What does not fit between the start of the measurement and its end, or between one occurrence and the next.

    shift:  how much later than planned trials may inject it, in seconds
    """
    schedule, longest = fault.schedule, fault.longest
    if schedule.every is not None and longest > schedule.every - schedule.jitter:
        least = f"{schedule.every:g}s" + (f" less {schedule.jitter:g}s of jitter" if schedule.jitter else "")
        yield "every", f"fault {fault.name!r} holds for up to {longest:g}s, but comes again after {least}: {_ROOM}"
    if schedule.mtbf is not None and schedule.mtbf <= longest:
        yield (
            "mtbf",
            f"fault {fault.name!r} holds for up to {longest:g}s: write an 'mtbf' longer than that, "
            f"not {schedule.mtbf:g}s",
        )
    later = f" (trials inject it up to {shift:g}s later)" if shift else ""
    first = schedule.at if schedule.at is not None else schedule.start
    if first is None:
        first = schedule.every or 0.0
    ends = first + schedule.jitter + longest + shift
    if ends >= duration and schedule.at is not None:
        yield (
            "at",
            f"fault {fault.name!r} ends at {ends:g}s{later}, but the scenario lasts {duration:g}s: "
            "make 'duration' longer, so that recovery can be seen",
        )
    elif ends >= min(duration, schedule.end + shift):
        limit = "'until'" if schedule.end < duration else "'duration'"
        yield (
            "until" if schedule.end < duration else "from" if schedule.start is not None else "",
            f"fault {fault.name!r} may not come even once: its first one ends at {ends:g}s{later}, and {limit} "
            f"is {min(duration, schedule.end):g}s",
        )


_ROOM = "make 'hold' shorter or 'every' longer"


def tied_to(faults: list[ScheduledFault]) -> Iterator[tuple[int, str]]:
    """Conditions on faults that are not there, or that wait for each other; each with the number of its entry."""
    names = {fault.name: fault for fault in faults}
    told: set[frozenset[str]] = set()
    for index, fault in enumerate(faults):
        for condition in fault.schedule.conditions:
            if condition.state is not State.HEALED:
                continue
            if condition.fault not in names:
                yield index, f"healed: no fault is called {condition.fault!r}; the faults are {', '.join(names)}"
            elif (circle := _circle(fault.name, condition.fault, names)) is not None:
                if frozenset(circle) in told:
                    continue
                told.add(frozenset(circle))
                yield index, f"healed: {' waits for '.join(circle)}: none of them would ever come"


def _circle(name: str, awaited: str, names: dict[str, ScheduledFault]) -> list[str] | None:
    """The way from a fault over what it waits for back to itself, if there is one."""
    trails, seen = [[name, awaited]], {awaited}
    while trails:
        trail = trails.pop()
        if trail[-1] == name:
            return trail
        fault = names.get(trail[-1])
        for condition in fault.schedule.conditions if fault else ():
            if condition.state is State.HEALED and (condition.fault == name or condition.fault not in seen):
                seen.add(condition.fault)
                trails.append([*trail, condition.fault])
    return None


GROUPS = {mode.value: mode for mode in Mode}
"""Keys that stand in the place of ``inject`` and hold a list of entries with it."""
