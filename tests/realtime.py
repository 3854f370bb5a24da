"""What measures is scheduled before what it measures, as chaosbench itself is; without that right it is not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def scheduled_first() -> Iterator[bool]:
    """This process at a real-time priority for the length of the block; its children are not. Whether it was got."""
    before = os.sched_getscheduler(0)
    try:
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    except PermissionError:
        yield False
        return
    try:
        yield True
    finally:
        os.sched_setscheduler(0, before, os.sched_param(0))
