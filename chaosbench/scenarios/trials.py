"""The trials of a scenario: each one's seed, and where in Patroni's loop its faults fall. Pure.

Everything follows from the run's seed and the trial's number, by SHA-256, so
that one trial can be repeated alone, on another machine and another Python.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha256

from chaosbench.scenarios.scenario import Scenario


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One repetition. ``scenario`` has ``phase_offset_s`` as its faults' offset already."""

    number: int
    of: int
    seed: int
    phase_offset_s: float
    scenario: Scenario


def trial_of(scenario: Scenario, seed: int, number: int) -> Trial:
    """Trial ``number`` (from 1) of a scenario in a run with this seed. Its faults keep their distances."""
    own = trial_seed(seed, number)
    offset = phase_offset(own, scenario.loop_wait)
    return Trial(
        number=number,
        of=scenario.trials,
        seed=own,
        phase_offset_s=offset,
        scenario=replace(scenario, offset=offset),
    )


def trial_seed(seed: int, number: int) -> int:
    """The first 31 bits of SHA-256 of ``<seed>/trial/<number>``."""
    return _first(f"{seed}/trial/{number}", 4) >> 1


def phase_offset(seed: int, loop_wait: float) -> float:
    """A time in [0, loop_wait), in whole milliseconds: the first 64 bits of SHA-256 of ``<trial's seed>/phase``."""
    milliseconds = int(loop_wait * 1000)
    return (_first(f"{seed}/phase", 8) * milliseconds >> 64) / 1000


def _first(text: str, count: int) -> int:
    return int.from_bytes(sha256(text.encode()).digest()[:count], "big")
