"""What a guard does when its parent is gone or does not answer: heal from the journal, and log it."""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from chaosbench.clock import Clock
from chaosbench.cluster.docker import DockerCluster
from chaosbench.errors import ChaosbenchError
from chaosbench.journal.directory import DiskJournal
from chaosbench.journal.whole import heal_all


def take_over(lab: str, directory: str, parent: int, why: str) -> bool:
    """Heal what ``parent`` left. True when nothing of it is left that could be healed."""
    journal = DiskJournal(Path(directory))
    if not any(deed.entry.pid == parent for deed in journal.read().deeds):
        _log(f"{why}; nothing to heal")
        return True
    _log(f"{why}: healing")
    try:
        whole = asyncio.run(_heal(journal, Path(lab), parent))
    except ChaosbenchError as error:
        _log(str(error))
        return False
    return whole


async def _heal(journal: DiskJournal, lab: Path, parent: int) -> bool:
    async with DockerCluster.at(lab) as cluster:
        outcome = await heal_all(journal, cluster, Clock(), "its guard", pid=parent)
    for line in outcome.lines():
        _log(line)
    return outcome.all_healed


def _log(line: str) -> None:
    """Standard output is the log."""
    sys.stdout.write(f"{datetime.now(UTC).isoformat(timespec='milliseconds')} guard {os.getpid()}: {line}\n")
    sys.stdout.flush()
