"""Where a lab's journal lies, and the locks: one run a lab, one healer a journal."""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from chaosbench.errors import ClusterUnavailable, PreflightError

_LOOK_S = 0.1


def state_directory(project: str, environ: Mapping[str, str] = os.environ) -> Path:
    """The directory of a lab project in the user's state directory, as the XDG base directories say."""
    named = environ.get("XDG_STATE_HOME", "")
    home = Path(named) if named.startswith("/") else Path.home() / ".local" / "state"
    return home / "chaosbench" / project


@contextmanager
def alone(project: str, who: str = "another chaosbench run is") -> Iterator[None]:
    """No two runs on one lab, from whatever checkout: each would take the other's faults for its own."""
    path = Path(tempfile.gettempdir()) / f"chaosbench-{project}.lock"
    with path.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise PreflightError(f"{who} using the lab {project!r}; wait for it, or stop it") from None
        yield


@contextmanager
def healing(directory: Path, patience: float) -> Iterator[None]:
    """Nobody else heals from this journal meanwhile; waits ``patience`` seconds for whoever does. Blocks its thread.

    Two who heal the same entry do no harm; but one who is still at it would undo
    what the next run injects into the same member.
    """
    directory.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + patience
    with (directory / "healing.lock").open("a") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise ClusterUnavailable(
                        f"another process heals this lab since {patience:g} s: see {directory / 'guard.log'}"
                    ) from None
                time.sleep(_LOOK_S)
        yield
