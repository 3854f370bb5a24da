"""``python -m chaosbench.guard LAB DIRECTORY PARENT``: heal the faults of a process when it dies or hangs.

Standard input is one end of a pair of sockets. Signals meant for the run that
a terminal sends to all (Ctrl-C, a hang-up) are not for the guard. What heals is
imported only when there is something to heal: until then this takes 10 MB.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time

from chaosbench.guard import BEAT, BEAT_S, GOODBYE, SILENCE_S

GIVE_UP_S = 600.0
"""How long it goes on trying to heal when its parent is gone."""

_AGAIN_S = 5.0


def main(lab: str, directory: str, parent: int) -> int:
    """Listen until the parent says goodbye (0), or is gone and everything is healed (0) or cannot be (3)."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    silent = 0
    while True:
        word = _heard()
        if word == GOODBYE:
            return 0
        if word == b"" or os.getppid() != parent:
            return _parent_is_gone(lab, directory, parent)
        # Waits are counted, not seconds: whoever stops the parent may have stopped the guard as well.
        silent = silent + 1 if word is None else 0
        if silent > SILENCE_S:
            _heal(lab, directory, parent, f"no word from chaosbench ({parent}) for {SILENCE_S} s")
            silent = 0


def _heard() -> bytes | None:
    """GOODBYE, BEAT (answered), nothing at all (None), or the end of the line (empty)."""
    readable, _, _ = select.select([0], [], [], BEAT_S)
    if not readable:
        return None
    try:
        words = os.read(0, 4096)
        if words and GOODBYE not in words:
            os.write(0, BEAT)
    except OSError:
        return b""
    return GOODBYE if GOODBYE in words else words[-1:]


def _parent_is_gone(lab: str, directory: str, parent: int) -> int:
    deadline = time.monotonic() + GIVE_UP_S
    while not _heal(lab, directory, parent, f"chaosbench ({parent}) is gone"):
        if time.monotonic() > deadline:
            return 3
        time.sleep(_AGAIN_S)
    return 0


def _heal(lab: str, directory: str, parent: int, why: str) -> bool:
    # Imported now and not at the start: it is most of chaosbench.
    from chaosbench.guard.take_over import take_over

    return take_over(lab, directory, parent, why)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
