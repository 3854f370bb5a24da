"""The entries under ``load`` and ``faults``.

An entry under ``load`` mixes the keys of the stream with those of its workload,
an entry under ``faults`` those of the schedule with those of its injector: each
class's fields are its keys.
"""

from __future__ import annotations

from dataclasses import replace
from difflib import get_close_matches
from itertools import count
from typing import Any, TypeVar

from pydantic.dataclasses import dataclass

from chaosbench.injectors.table import INJECTORS
from chaosbench.injectors.targets import check_target
from chaosbench.model.scenario import STRICT, StreamSettings
from chaosbench.scenarios.document import Document, Path_, closest
from chaosbench.scenarios.scenario import PlannedFault, Stream
from chaosbench.scenarios.validate import build, keys_of
from chaosbench.units import Seconds
from chaosbench.workload import WORKLOADS

M = TypeVar("M")
C = TypeVar("C")


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Timing:
    """The schedule keys of a fault."""

    at: Seconds
    name: str = ""


def streams_of(raw: Any, path: Path_, document: Document) -> tuple[Stream, ...]:
    """What stands under ``load``: one entry or a list of them."""
    entries = raw if isinstance(raw, list) else [raw] if raw is not None else []
    if not entries:
        document.add(path, "'load' is missing; without load there is nothing to measure")
    streams: list[Stream] = []
    for index, entry in enumerate(entries):
        where = (*path, index) if isinstance(raw, list) else path
        stream = _stream(entry, where, document)
        if stream is None:
            continue
        if any(stream.name == other.name for other in streams):
            document.add(where, f"two streams are called {stream.name!r}; give one a 'name' of its own")
        streams.append(stream)
    return tuple(streams)


def _stream(entry: Any, path: Path_, document: Document) -> Stream | None:
    chosen = _choose(entry, "workload", WORKLOADS, path, document)
    if chosen is None:
        return None
    kind, rest = chosen
    settings, workload = _both(StreamSettings, WORKLOADS[kind], rest, path, document, "workload")
    if settings is None or workload is None:
        return None
    _check_load_model(settings, rest, path, document)
    return Stream(name=settings.name or kind, workload=workload, settings=settings)


def _check_load_model(settings: StreamSettings, given: dict[str, Any], path: Path_, document: Document) -> None:
    if (settings.rate is None) == (settings.clients is None):
        document.add(path, "give either 'rate' (open loop, as in 1000/s) or 'clients' (closed loop, as in 32)")
        return
    others = ("think",) if settings.rate is not None else ("arrivals", "stages", "connections", "backlog", "deadline")
    model, key = ("an open", "rate") if settings.rate is not None else ("a closed", "clients")
    for other in others:
        if other in given:
            document.add((*path, other), f"{other!r} has no meaning with {key!r} ({model} loop)")


def faults_of(
    raw: Any, path: Path_, document: Document, duration: float, shift: float = 0.0
) -> tuple[PlannedFault, ...]:
    """What stands under ``faults``. Each must end before ``duration``, or nobody would see a recovery.

    shift:  how much later than planned trials may inject it, in seconds
    """
    if not isinstance(raw, list):
        document.add(path, "faults: write a list, each with 'at' and 'inject'")
        return ()
    faults: list[PlannedFault] = []
    for index, entry in enumerate(raw):
        where = (*path, index)
        fault = _fault(entry, where, document)
        if fault is None:
            continue
        taken = {other.name for other in faults}
        if fault.name in taken and entry.get("name"):
            document.add(where, f"two faults are called {fault.name!r}; give one a 'name' of its own")
        elif fault.name in taken:
            free = (f"{fault.name}-{number}" for number in count(2))
            fault = replace(fault, name=next(name for name in free if name not in taken))
        ends = fault.at + fault.injector.hold + shift
        if ends >= duration:
            later = f" (trials inject it up to {shift:g}s later)" if shift else ""
            document.add(
                (*where, "at"),
                f"fault {fault.name!r} ends at {ends:g}s{later}, but the scenario lasts {duration:g}s: "
                "make 'duration' longer, so that recovery can be seen",
            )
        faults.append(fault)
    return tuple(faults)


def _fault(entry: Any, path: Path_, document: Document) -> PlannedFault | None:
    chosen = _choose(entry, "inject", INJECTORS, path, document)
    if chosen is None:
        return None
    kind, rest = chosen
    timing, injector = _both(Timing, INJECTORS[kind], rest, path, document, "inject")
    if timing is None or injector is None:
        return None
    problem = check_target(injector.target, INJECTORS[kind])
    if problem is not None:
        document.add((*path, "target"), problem)
        return None
    return PlannedFault(name=timing.name or f"{kind}-{injector.target}", at=timing.at, injector=injector)


def _both(
    mine: type[M], chosen: type[C], entry: dict[str, Any], path: Path_, document: Document, key: str
) -> tuple[M | None, C | None]:
    """An entry's two halves: the keys that every entry has, and those of the class that ``key`` names."""
    keys = keys_of(mine)
    ours = {name: value for name, value in entry.items() if name in keys}
    rest = {name: value for name, value in entry.items() if name not in keys}
    return build(mine, ours, path, document), build(chosen, rest, path, document, known=(key, *keys))


def _choose(
    entry: Any, key: str, table: dict[str, Any], path: Path_, document: Document
) -> tuple[str, dict[str, Any]] | None:
    """The entry's kind, and its other keys."""
    if not isinstance(entry, dict) or key not in entry:
        slip = get_close_matches(key, map(str, entry), n=1) if isinstance(entry, dict) else []
        hint = f"did you mean it by {slip[0]!r}?" if slip else f"write one of: {', '.join(table)}"
        document.add((*path, *slip), f"{key!r} is missing; {hint}")
        return None
    kind = entry[key]
    if not isinstance(kind, str) or kind not in table:
        document.add((*path, key), f"{key}: {kind!r} is not known{closest(str(kind), list(table))}")
        return None
    return kind, {k: v for k, v in entry.items() if k != key}
