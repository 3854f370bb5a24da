"""Heal what an earlier chaosbench left behind: ``chaosbench heal``, and the beginning of every run and ``lab up``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from chaosbench.clock import Clock
from chaosbench.cluster import Cluster
from chaosbench.cluster.docker import DockerCluster
from chaosbench.cluster.labfiles import read_lab
from chaosbench.errors import ClusterUnavailable, PreflightError
from chaosbench.journal.directory import DiskJournal
from chaosbench.journal.place import alone, state_directory
from chaosbench.journal.whole import Outcome, Waits, heal_all

Report = Callable[[str], None]
"""Takes one line at a time."""


def journal_of(project: str, say: Report = lambda line: None) -> DiskJournal:
    """The lab's journal, ready to be written; PreflightError when it cannot be."""
    journal = DiskJournal(state_directory(project), say)
    journal.prepare()
    return journal


async def heal_left_behind(
    journal: DiskJournal, cluster: Cluster, report: Report, by: str, waits: Waits | None = None
) -> Outcome:
    """Heal all that is open, telling each entry in a line. Only for who holds the lab's lock."""
    outcome = await heal_all(journal, cluster, Clock(), by, waits=waits)
    for line in outcome.lines():
        report(line)
    return outcome


async def heal(lab: Path, report: Report) -> int:
    """``chaosbench heal``: 0 when nothing is left, 3 when something is. PreflightError while a run uses the lab."""
    project = read_lab(lab).project
    with alone(project, "a chaosbench run, which heals its own faults, is"):
        async with DockerCluster.at(lab) as cluster:
            outcome = await heal_left_behind(journal_of(project), cluster, report, "chaosbench heal")
    if not outcome.lines():
        report(f"nothing to heal in the lab {project!r}")
    return 0 if outcome.whole else 3


async def heal_before_up(lab: Path, report: Report) -> None:
    """The same before a lab is brought up: of which there may be nothing yet, and which a run may be using."""
    try:
        project = read_lab(lab).project
        with alone(project):
            async with DockerCluster.at(lab) as cluster:
                journal = DiskJournal(state_directory(project))
                await heal_left_behind(journal, cluster, report, "chaosbench lab up", Waits(engine=0.0))
    except ClusterUnavailable:
        return  # it was never started
    except PreflightError as error:
        report(f"nothing is healed: {error}")
