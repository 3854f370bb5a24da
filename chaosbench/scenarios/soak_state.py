"""``state.json``: what a soak goes on with after an end of chaosbench itself. Written whole, every ten seconds."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from chaosbench.errors import UsageError
from chaosbench.model.consistency import Consistency
from chaosbench.model.report import FaultReport
from chaosbench.model.soak import Segment
from chaosbench.results import write_durably

STATE = "state.json"
STATE_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Everything but the ledger's newest rows, which are in its log.

    run:         the ledger's
    elapsed_ns:  how much of the measurement was done
    ended:       whether this was written at an end that chaosbench made itself
    done:        see :class:`~chaosbench.scenarios.faults.Faults`
    under_way:   faults that had come and were not over
    """

    version: int = STATE_VERSION
    scenario: str
    seed: int
    run: int
    elapsed_ns: int
    saved_at: str
    ended: bool
    segments: tuple[Segment, ...]
    done: dict[str, int]
    recorder: dict[str, Any]
    faults: dict[str, Any]
    under_way: tuple[FaultReport, ...]
    settled: dict[str, Any]
    rollups: int
    rolled_up: dict[str, Any] | None
    rolled_up_s: float
    rolled_up_at: str
    warnings: tuple[str, ...]
    consistency: Consistency
    stale: dict[str, Any]


_STATE: TypeAdapter[State] = TypeAdapter(State)


def read_state(directory: Path | None) -> State | None:
    """What a soak left in its directory; None where none did. UsageError when it cannot be read."""
    if directory is None:
        return None
    path = directory / STATE
    try:
        found = _STATE.validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
    except ValidationError:
        raise UsageError(f"{path}: not what this chaosbench writes; begin a new soak") from None
    if found.version != STATE_VERSION:
        raise UsageError(f"{path}: of another version of chaosbench; begin a new soak")
    return found


@contextmanager
def understood(directory: Path | None) -> Iterator[None]:
    """What of the state is put to use in the block must make sense. UsageError when it does not."""
    try:
        yield
    except (ValidationError, KeyError, TypeError, ValueError, zlib.error):
        raise UsageError(f"{directory}: its {STATE} is not what this chaosbench writes; begin a new soak") from None


def write_state(state: State, directory: Path) -> None:
    """Write it, and have it on the disk; blocks. Raises OSError."""
    write_durably(directory / STATE, _STATE.dump_json(state))
