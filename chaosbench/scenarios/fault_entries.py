"""The entries under ``faults``.

An entry mixes the keys of its schedule with those of its injector: each class's
fields are its keys. In the place of ``inject`` it may have ``choose`` or
``sequence``: a list of injectors, each with its own keys.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import Any

from pydantic import Field
from pydantic.dataclasses import dataclass

from chaosbench.injectors.table import INJECTORS
from chaosbench.injectors.targets import check_target
from chaosbench.model.faults import Permits
from chaosbench.model.scenario import STRICT
from chaosbench.scenarios.clashes import beyond, clashing
from chaosbench.scenarios.document import Document, Path_
from chaosbench.scenarios.entries import both, chosen
from chaosbench.scenarios.scenario import Action, ScheduledFault
from chaosbench.scenarios.timing import GROUPS, Timing, fitting, parse_hold, tied_to
from chaosbench.scenarios.validate import build, keys_of
from chaosbench.schedule import Mode, Span
from chaosbench.units import Seconds


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Choice:
    """What an entry under ``choose`` has besides its injector's keys."""

    weight: float = Field(default=1.0, gt=0)


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Step:
    """What an entry under ``sequence`` has besides its injector's keys."""

    wait: Seconds = 0.0


def faults_of(
    raw: Any, path: Path_, document: Document, duration: float, permits: Permits, shift: float = 0.0
) -> tuple[ScheduledFault, ...]:
    """What stands under ``faults``. Each must end before ``duration``, or nobody would see a recovery.

    shift:  how much later than planned trials may inject it, in seconds
    """
    if not isinstance(raw, list):
        document.add(path, "faults: write a list, each with 'at' and 'inject'")
        return ()
    faults: list[ScheduledFault] = []
    places: list[Path_] = []
    for index, entry in enumerate(raw):
        where = (*path, index)
        fault = _fault(entry, where, document)
        if fault is None:
            continue
        fault = _named(fault, faults, where, document, given=bool(entry.get("name")))
        for key, problem in (*fitting(fault, duration, shift), *beyond(fault, permits)):
            document.add((*where, key) if key else where, problem)
        faults.append(fault)
        places.append(where)
    if len(faults) == len(raw):  # else it would be said of faults that are there, but wrong
        for index, problem in tied_to(faults):
            document.add((*places[index], "when"), problem)
    for index, problem in clashing(faults, permits):
        document.add((*places[index], "at"), problem)
    return tuple(faults)


def _named(
    fault: ScheduledFault, others: list[ScheduledFault], where: Path_, document: Document, *, given: bool
) -> ScheduledFault:
    """With a name that no other fault has, nor any occurrence of one."""
    if not any(_same(fault, other) for other in others):
        return fault
    if given:
        document.add(where, f"two faults are called {fault.name!r}; give one a 'name' of its own")
        return fault
    # Where the name with a number is that of another entry's occurrence, a word comes between.
    names = (f"{fault.name}{between}{number}" for number in count(2) for between in ("-", "-entry-"))
    candidates = (replace(fault, name=name) for name in names)
    return next(found for found in candidates if not any(_same(found, other) for other in others))


def _same(one: ScheduledFault, other: ScheduledFault) -> bool:
    return one.name == other.name or _numbers(one, other.name) or _numbers(other, one.name)


def _numbers(fault: ScheduledFault, name: str) -> bool:
    """Whether an occurrence of the fault may be called so."""
    base, _, number = name.rpartition("-")
    return fault.numbered and base == fault.name and number.isdecimal()


def _fault(entry: Any, path: Path_, document: Document) -> ScheduledFault | None:
    groups = [key for key in GROUPS if isinstance(entry, dict) and key in entry]
    ways = [*groups, *(key for key in ("inject",) if isinstance(entry, dict) and key in entry)]
    if len(ways) > 1:
        document.add((*path, ways[0]), f"{ways[0]!r} and {ways[1]!r} exclude each other: keep one")
        return None
    if groups:
        return _group(entry, GROUPS[groups[0]], path, document)
    found = chosen(entry, "inject", INJECTORS, path, document)
    if found is None:
        return None
    kind, rest = found
    timing, action = _halves(Timing, kind, rest, path, document)
    if timing is None or action is None or _told(timing, path, document):
        return None
    target = "-".join(action.injector.target.replace(",", " ").split())
    name = timing.name or f"{kind}-{target}"
    return ScheduledFault(name=name, schedule=timing.schedule(), actions=(action,))


def _group(entry: dict[str, Any], mode: Mode, path: Path_, document: Document) -> ScheduledFault | None:
    key = mode.value
    rest = {name: value for name, value in entry.items() if name != key}
    timing = build(Timing, rest, path, document, known=(key,))
    items, where = entry[key], (*path, key)
    if not isinstance(items, list) or not items:
        document.add(where, f"{key}: write a list of one or more, each with 'inject'")
        return None
    actions = [_action(item, mode, (*where, index), document) for index, item in enumerate(items)]
    found = tuple(action for action in actions if action is not None)
    if timing is None or _told(timing, path, document) or len(found) < len(items):
        return None
    return ScheduledFault(name=timing.name or key, schedule=timing.schedule(), actions=found, mode=mode)


def _told(timing: Timing, path: Path_, document: Document) -> bool:
    """Say what is wrong with the schedule keys; whether anything is."""
    problems = list(timing.problems())
    for key, problem in problems:
        document.add((*path, key) if key else path, problem)
    return bool(problems)


def _action(item: Any, mode: Mode, path: Path_, document: Document) -> Action | None:
    found = chosen(item, "inject", INJECTORS, path, document)
    if found is None:
        return None
    kind, rest = found
    if mode is Mode.CHOOSE:
        choice, action = _halves(Choice, kind, rest, path, document)
        if choice is None or action is None:
            return None
        return replace(action, span=replace(action.span, weight=choice.weight))
    step, action = _halves(Step, kind, rest, path, document)
    if step is None or action is None:
        return None
    if step.wait and path[-1] == 0:
        document.add((*path, "wait"), "'wait' has no meaning before the first step: it is a pause between two")
        return None
    return replace(action, span=replace(action.span, wait=step.wait))


def _halves(
    mine: type[Any], kind: str, rest: dict[str, Any], path: Path_, document: Document
) -> tuple[Any, Action | None]:
    """An entry's own keys, and what it does."""
    settings, ends = dict(rest), None
    if isinstance(rest.get("target"), list) and all(isinstance(name, str) for name in rest["target"]):
        settings["target"] = ", ".join(rest["target"])
    if "hold" in keys_of(INJECTORS[kind]):
        try:
            ends = parse_hold(rest.get("hold"))
        except ValueError as error:
            document.add((*path, "hold"), f"hold: {error}")
            settings.pop("hold")
    if ends is not None:
        settings["hold"] = str(rest["hold"]).partition("..")[2]
    own, injector = both(mine, INJECTORS[kind], settings, path, document, "inject")
    if own is None or injector is None or (rest.get("hold") is not None and "hold" not in settings):
        return own, None
    problem = check_target(injector.target, INJECTORS[kind])
    if problem is not None:
        document.add((*path, "target"), problem)
        return own, None
    low, high = ends or (injector.hold, injector.hold)
    return own, Action(injector=injector, span=Span(low, high))
