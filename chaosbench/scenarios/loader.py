"""The scenario file's grammar. Everything wrong with a file is found in one go, one line each.

A file holds ``seed``, ``defaults`` (laid under every scenario) and
``scenarios``. An entry under ``load`` mixes the keys of the stream with those
of its workload, an entry under ``faults`` those of the schedule with those of
its injector: each class's fields are its keys.
"""

from __future__ import annotations

from dataclasses import dataclass as plain_dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import Field
from pydantic.dataclasses import dataclass

from chaosbench.errors import UsageError
from chaosbench.expectations import METRICS, parse_expectation
from chaosbench.injectors.table import INJECTORS
from chaosbench.injectors.targets import check_target
from chaosbench.model.scenario import STRICT, Expectation, StreamSettings, Windows
from chaosbench.scenarios.document import Document, Path_, closest, read
from chaosbench.scenarios.scenario import PlannedFault, Scenario, Stream
from chaosbench.scenarios.validate import build, keys_of
from chaosbench.units import Seconds
from chaosbench.workload import WORKLOADS


@plain_dataclass(frozen=True, slots=True)
class ScenarioFile:
    """A checked scenario file. ``text`` is kept for the report."""

    path: Path
    text: str
    seed: int | None
    scenarios: tuple[Scenario, ...]

    def only(self, names: tuple[str, ...]) -> tuple[Scenario, ...]:
        """The scenarios of these names, in the file's order; all when no name is given."""
        known = [scenario.name for scenario in self.scenarios]
        for name in names:
            if name not in known:
                raise UsageError(f"{self.path}: no scenario is called {name!r}{closest(name, known)}")
        return tuple(scenario for scenario in self.scenarios if not names or scenario.name in names)


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class _Body:
    """The plain keys of a scenario; ``load``, ``faults`` and ``expect`` have grammars of their own."""

    description: str = ""
    duration: Seconds = Field(gt=0)
    warm_up: Seconds = 5.0
    recovery: Seconds = 60.0
    scale: int = Field(default=1, ge=1, le=100_000)
    windows: Windows = Windows()


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class _Timing:
    """The schedule keys of a fault."""

    at: Seconds
    name: str = ""


_PARTS = ("load", "faults", "expect")


def load(path: Path) -> ScenarioFile:
    """Read and check a scenario file.

    Raises :class:`~chaosbench.errors.UsageError` or its
    :class:`~chaosbench.errors.ScenarioFileError` with every problem.
    """
    document = read(path)
    root = document.root
    if not isinstance(root, dict):
        document.add((), "a scenario file is a mapping with the key 'scenarios'")
        document.check()
    top = ("seed", "defaults", "scenarios")
    for key in root:
        if key not in top:
            document.add((key,), f"unknown key {key!r}{closest(key, list(top))}")
    seed = root.get("seed")
    if seed is not None and (not isinstance(seed, int) or isinstance(seed, bool)):
        document.add(("seed",), f"seed: write a whole number, not {seed!r}")
    scenarios = _scenarios(root, document)
    document.check()
    return ScenarioFile(path, document.text, seed, scenarios)


def _scenarios(root: dict[str, Any], document: Document) -> tuple[Scenario, ...]:
    bodies = root.get("scenarios")
    defaults = root.get("defaults") or {}
    if not isinstance(bodies, dict) or not bodies:
        document.add(("scenarios",), "'scenarios' holds at least one scenario, as in scenarios: {steady: {...}}")
        return ()
    if not isinstance(defaults, dict):
        document.add(("defaults",), "defaults: write a mapping of keys to values")
        return ()
    found = (_scenario(name, body, defaults, document) for name, body in bodies.items())
    return tuple(scenario for scenario in found if scenario is not None)


def _scenario(name: str, body: Any, defaults: dict[str, Any], document: Document) -> Scenario | None:
    path: Path_ = ("scenarios", name)
    if not isinstance(body, dict):
        document.add(path, f"scenario {name!r} is empty; give it at least 'duration' and 'load'")
        return None
    if not all(part.isalnum() for part in name.split("-")):
        document.add(path, f"scenario name {name!r}: use letters, digits and hyphens (it names a directory)")
    merged = {**defaults, **body}
    at = {key: (*path, key) if key in body else ("defaults", key) for key in merged}
    plain = {key: value for key, value in merged.items() if key not in _PARTS}
    settings = _body(plain, path, at, document)
    streams = _streams(merged.get("load"), at.get("load", path), document)
    faults = _faults(merged.get("faults", []), at.get("faults", path), document)
    expectations = _expectations(merged.get("expect", {}), at.get("expect", path), document)
    if settings is None:
        return None
    for index, fault in enumerate(faults):
        ends = fault.at + fault.injector.hold
        if ends >= settings.duration:
            document.add(
                (*at["faults"], index, "at"),
                f"fault {fault.name!r} ends at {ends:g}s, but the scenario lasts {settings.duration:g}s: "
                "make 'duration' longer, so that recovery can be seen",
            )
    return Scenario(
        name=name,
        description=settings.description,
        duration=settings.duration,
        warm_up=settings.warm_up,
        recovery=settings.recovery,
        scale=settings.scale,
        streams=streams,
        faults=faults,
        expectations=expectations,
        windows=settings.windows,
    )


def _body(plain: dict[str, Any], path: Path_, at: dict[str, Path_], document: Document) -> _Body | None:
    """The plain keys; a problem with an inherited one is reported where it stands, under ``defaults``."""
    before = len(document.problems)
    found = build(_Body, plain, path, document, known=_PARTS)
    for index in range(before, len(document.problems)):
        problem = document.problems[index]
        for key, where in at.items():
            if (where[0] == "defaults" and f"{key!r}" in problem.message) or problem.message.startswith(f"{key}:"):
                line, column = document.position(where)
                document.problems[index] = type(problem)(line, column, problem.message, problem.file)
    return found


def _streams(raw: Any, path: Path_, document: Document) -> tuple[Stream, ...]:
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
    mine = set(keys_of(StreamSettings))
    workload_keys = tuple(keys_of(WORKLOADS[kind]))
    settings = build(
        StreamSettings, {k: v for k, v in rest.items() if k in mine}, path, document, known=("workload", *workload_keys)
    )
    workload = build(
        WORKLOADS[kind],
        {k: v for k, v in rest.items() if k not in mine},
        path,
        document,
        known=("workload", *sorted(mine)),
    )
    if settings is None or workload is None:
        return None
    _check_load_model(settings, rest, path, document)
    return Stream(name=settings.name or kind, workload=workload, settings=settings)


def _check_load_model(settings: StreamSettings, given: dict[str, Any], path: Path_, document: Document) -> None:
    if (settings.rate is None) == (settings.clients is None):
        document.add(path, "give either 'rate' (open loop, as in 1000/s) or 'clients' (closed loop, as in 32)")
        return
    others = ("think",) if settings.rate is not None else ("arrivals", "stages", "connections", "backlog", "deadline")
    model, key = ("open", "rate") if settings.rate is not None else ("closed", "clients")
    for other in others:
        if other in given:
            document.add((*path, other), f"{other!r} has no meaning with {key!r} (a {model} loop)")


def _faults(raw: Any, path: Path_, document: Document) -> tuple[PlannedFault, ...]:
    if not isinstance(raw, list):
        document.add(path, "faults: write a list, each with 'at' and 'inject'")
        return ()
    faults: list[PlannedFault] = []
    for index, entry in enumerate(raw):
        fault = _fault(entry, (*path, index), document)
        if fault is not None:
            name = fault.name
            if any(name == other.name for other in faults):
                name = f"{name}-{index + 1}"
            faults.append(PlannedFault(name=name, at=fault.at, injector=fault.injector))
    return tuple(faults)


def _fault(entry: Any, path: Path_, document: Document) -> PlannedFault | None:
    chosen = _choose(entry, "inject", INJECTORS, path, document)
    if chosen is None:
        return None
    kind, rest = chosen
    cls = INJECTORS[kind]
    mine = set(keys_of(_Timing))
    timing = build(
        _Timing, {k: v for k, v in rest.items() if k in mine}, path, document, known=("inject", *keys_of(cls))
    )
    injector = build(
        cls, {k: v for k, v in rest.items() if k not in mine}, path, document, known=("inject", *sorted(mine))
    )
    if timing is None or injector is None:
        return None
    problem = check_target(injector.target, cls)
    if problem is not None:
        document.add((*path, "target"), problem)
        return None
    return PlannedFault(name=timing.name or f"{kind}-{injector.target}", at=timing.at, injector=injector)


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
    if kind not in table:
        document.add((*path, key), f"{key}: {kind!r} is not known{closest(str(kind), list(table))}")
        return None
    return str(kind), {k: v for k, v in entry.items() if k != key}


def _expectations(raw: Any, path: Path_, document: Document) -> tuple[Expectation, ...]:
    if not isinstance(raw, dict):
        document.add(path, "expect: write a mapping of metrics to limits, as in {rto: '<= 30s'}")
        return ()
    found: list[Expectation] = []
    for metric, limit in raw.items():
        where = (*path, metric)
        if metric not in METRICS:
            document.add(where, f"unknown metric {metric!r}{closest(metric, list(METRICS))}")
            continue
        try:
            found.append(parse_expectation(metric, limit))
        except ValueError as error:
            document.add(where, f"{metric}: {error}")
    return tuple(found)
