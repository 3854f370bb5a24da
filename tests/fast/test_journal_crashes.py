"""Whatever the moment at which chaosbench dies, what the journal says is enough to make the cluster whole."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from crashing import MEMBERS, Plan, crash_at, crash_healing_at, healed
from crashing import FileCluster as Cluster
from hypothesis import given, settings
from hypothesis import strategies as st

from chaosbench.journal.directory import DiskJournal

OVERLAPPING = (
    Plan("kill", "pg2", 0.0, 0.06),
    Plan("pause", "etcd1", 0.02, 0.03),
    Plan("pause", "pg3", 0.03, 0.06),
    Plan("kill", "pgpool1", 0.03, 0.02),
)


def check(directory: Path) -> None:
    """Heal, and look whether all is as it was before."""
    journal = DiskJournal(directory / "state")
    before = journal.read()
    assert not before.strange
    outcome = healed(directory)
    assert outcome.whole, outcome.lines()
    assert Cluster(directory / "cluster").whole
    assert journal.read().deeds == ()
    closed = [line["id"] for line in journal.history()]
    assert {deed.entry.id for deed in before.deeds} <= set(closed)


def test_a_crash_after_every_single_step(tmp_path: Path):
    broken = steps = 0
    for step in range(1, 500):
        directory = tmp_path / str(step)
        directory.mkdir()
        crashed = crash_at(step, OVERLAPPING, directory)
        broken += not Cluster(directory / "cluster").whole
        check(directory)
        if not crashed:
            break
        steps += 1
    print(f"{steps} crash points, the cluster broken after {broken} of them")
    assert not crashed, "it came to its end"
    assert steps > 60
    assert broken > 20, "the crashes do leave something behind"


FAULTS = st.builds(
    Plan,
    kind=st.sampled_from(["kill", "pause"]),
    member=st.sampled_from(MEMBERS),
    at=st.floats(0, 0.05),
    hold=st.floats(0.001, 0.05),
)


@settings(max_examples=25, deadline=None)
@given(plans=st.lists(FAULTS, min_size=1, max_size=6).map(tuple), step=st.integers(1, 120))
def test_a_crash_at_any_step_of_any_faults(plans: tuple[Plan, ...], step: int):
    directory = Path(tempfile.mkdtemp())
    try:
        crash_at(step, plans, directory)
        check(directory)
    finally:
        shutil.rmtree(directory)


def test_a_crash_of_the_healer_at_every_step(tmp_path: Path):
    left = tmp_path / "left"
    left.mkdir()
    assert crash_at(60, OVERLAPPING, left)
    assert not Cluster(left / "cluster").whole
    for step in range(1, 200):
        directory = tmp_path / str(step)
        shutil.copytree(left, directory)
        crashed = crash_healing_at(step, directory)
        check(directory)
        if not crashed:
            break
    assert not crashed, "it came to its end"
    assert step > 10
