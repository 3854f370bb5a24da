"""The scenario file's grammar. Everything wrong with a file is found in one go, one line each.

A file holds ``seed``, ``defaults`` (laid under every scenario) and
``scenarios``. A scenario's plain keys are the fields of ``_Body``; what stands
under ``load`` is read by ``entries.py``, what stands under ``faults`` by
``fault_entries.py``.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass as plain_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field
from pydantic.dataclasses import dataclass

from chaosbench.errors import UsageError
from chaosbench.expectations import METRICS, parse_expectation
from chaosbench.model.faults import Permits
from chaosbench.model.scenario import STRICT, Expectation, Spread, Windows
from chaosbench.scenarios.document import Document, Path_, closest, read
from chaosbench.scenarios.entries import load_of
from chaosbench.scenarios.fault_entries import faults_of
from chaosbench.scenarios.scenario import OnConflict, Scenario
from chaosbench.scenarios.validate import build
from chaosbench.units import Budget, Lasting, Seconds, parse_budget


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
    duration: Lasting = Field(gt=0, allow_inf_nan=True)
    warm_up: Seconds = 5.0
    recovery: Seconds = 60.0
    scale: int = Field(default=1, ge=1, le=100_000)
    windows: Windows = Windows()
    trials: int = Field(default=1, ge=1, le=1000)
    loop_wait: Seconds = 5.0
    conflict: Literal["wait", "skip", "error"] = "wait"
    allow_quorum_loss: bool = False
    allow_multi: bool = False
    cool_down: Seconds = 0.0
    budget: Annotated[Budget | None, BeforeValidator(parse_budget)] = None
    settle: Seconds | None = None
    rollup: Seconds | None = None

    @property
    def shift(self) -> float:
        """How much later than planned a fault may come, in seconds."""
        return self.loop_wait if self.trials > 1 else 0.0


DAY_S = 86_400.0
SETTLE_S, ROLLUP_S = 600.0, DAY_S
"""How often a scenario of a day or more compares its ledger, and reports."""

_PARTS = ("load", "faults", "expect")
_NAME = re.compile(r"(?=.{1,64}$)[A-Za-z0-9]+(-[A-Za-z0-9]+)*")


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
    defaults = root["defaults"] if root.get("defaults") is not None else {}
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
    if not _NAME.fullmatch(name):
        document.add(path, f"scenario name {name!r}: use letters, digits and hyphens (it names a directory)")
    merged = {**defaults, **body}
    at = {key: (*path, key) if key in body else ("defaults", key) for key in merged}
    plain = {key: value for key, value in merged.items() if key not in _PARTS}
    settings = build(_Body, plain, path, document, known=_PARTS, at=at)
    spread, streams = load_of(merged.get("load"), at.get("load", path), document)
    duration = settings.duration if settings else math.inf
    if settings is not None:
        _soak_problems(settings, spread, path, at, document)
    shift = settings.shift if settings else 0.0
    permits = Permits()
    if settings is not None:
        permits = Permits(quorum_loss=settings.allow_quorum_loss, multi=settings.allow_multi)
    faults = faults_of(merged.get("faults", []), at.get("faults", path), document, duration, permits, shift)
    expectations = _expectations(merged.get("expect", {}), at.get("expect", path), document)
    if settings is None:
        return None
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
        trials=settings.trials,
        loop_wait=settings.loop_wait,
        conflict=OnConflict(settings.conflict),
        permits=permits,
        spread=spread,
        cool_down=settings.cool_down,
        budget=settings.budget,
        settle=_by_default(settings.settle, SETTLE_S, settings),
        rollup=_by_default(settings.rollup, ROLLUP_S, settings),
    )


def _by_default(given: float | None, usual: float, body: _Body) -> float:
    """Of a scenario of a day or more; a shorter one, or one with trials, has it only where it is asked for."""
    if given is not None:
        return given
    return usual if body.duration >= DAY_S and body.trials == 1 else 0.0


def _soak_problems(body: _Body, spread: Spread | None, path: Path_, at: dict[str, Path_], document: Document) -> None:
    """Trials end and are compared; a soak is one long trial, and its ledger is one process's."""
    soak = _by_default(body.settle, SETTLE_S, body) or _by_default(body.rollup, ROLLUP_S, body)
    if spread is not None and soak:
        key = next((key for key in ("settle", "rollup") if getattr(body, key)), "duration")
        said = f"{key}: the load of a soak is carried by one process: leave 'workers' and 'scheduler' out of 'load'"
        document.add(at.get(key, path), said + (", or write settle: 0s and rollup: 0s" if key == "duration" else ""))
    if body.trials == 1:
        return
    for key in ("settle", "rollup"):
        if getattr(body, key):
            document.add(at.get(key, path), f"{key!r} and 'trials' exclude each other: a soak is run once")
    if math.isinf(body.duration):
        document.add(at.get("duration", path), "duration: trials must end: write how long each lasts, as in 10m")


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
