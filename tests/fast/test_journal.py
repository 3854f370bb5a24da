"""The journal on disk: what is written comes back, what cannot be read is told, healing from it is bounded."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from crashing import QUICK, FileCluster, Plan, healed, opened

from chaosbench.clock import loop_clock, to_s
from chaosbench.cluster.fake import FakeCluster
from chaosbench.errors import ClusterUnavailable, FaultError, PreflightError
from chaosbench.injectors import Injector
from chaosbench.injectors.healing import Patience
from chaosbench.injectors.kill import Kill
from chaosbench.injectors.pause import Pause
from chaosbench.injectors.record import Mark
from chaosbench.injectors.table import INJECTORS
from chaosbench.journal import directory as journal_directory
from chaosbench.journal.directory import DiskJournal
from chaosbench.journal.entries import decode, encode, entry_of, revive
from chaosbench.journal.place import alone, healing, state_directory
from chaosbench.journal.whole import End, Outcome, Waits, heal_all
from chaosbench.model.cluster import Address, Member, Role, RunState
from chaosbench.model.faults import Part, Permits
from chaosbench.scenarios.document import Document
from chaosbench.scenarios.fault_entries import faults_of

ROOT = Path(__file__).parents[2]
MEMBER = Member("pg2", Role.POSTGRES, "id-of-pg2", RunState.RUNNING, {"sql": Address("127.0.0.1", 15432)})


@pytest.fixture
def journal(tmp_path: Path) -> DiskJournal:
    made = DiskJournal(tmp_path / "state")
    made.prepare()
    return made


def documented() -> list[Injector]:
    """Every fault that the pages of docs/injectors show as YAML."""
    text = "\n".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs" / "injectors").glob("*.md"))
    found: list[Injector] = []
    for block in re.findall(r"```yaml\n(.*?)```", text, re.S):
        raw = yaml.safe_load(block)
        entries = raw.get("faults") if isinstance(raw, dict) else None
        document = Document("docs", block)
        permits = Permits(quorum_loss=True, multi=True)
        for fault in faults_of(entries or [], ("faults",), document, 1e9, permits):
            found += [action.injector for action in fault.actions]
    return found


def examples() -> list[Injector]:
    plain = [cls(target="leader") for cls in INJECTORS.values() if _needs_only_target(cls)]  # type: ignore[call-arg]
    return [*documented(), *plain, Kill(target="any replica", hold="1m30s250ms"), Pause(target="pg1", hold="1us")]  # type: ignore[arg-type]


def _needs_only_target(cls: type[Injector]) -> bool:
    try:
        cls(target="leader")  # type: ignore[call-arg]
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("fault", examples(), ids=lambda fault: f"{fault.kind}-{fault.target}")
def test_every_injector_survives_being_written_down(fault: Injector):
    before = {"deep": [1, {"a": None}], "text": "ä\n"}
    entry = entry_of("n", "f", fault, MEMBER, before, pid=1, engine="", now="now")
    deed = revive(decode(encode(entry)))
    assert deed.injector == fault
    assert deed.member == MEMBER
    assert deed.entry.before == before


async def test_an_entry_lives_from_intent_to_history(journal: DiskJournal):
    fault = Kill(target="replica", hold="5s")  # type: ignore[arg-type]
    name = await journal.intend("kill it!", fault, MEMBER, {"was": 1})
    (deed,) = journal.read().deeds
    assert (deed.entry.mark, deed.injector, deed.member, deed.entry.before) == (Mark.INTENT, fault, MEMBER, {"was": 1})
    for mark in (Mark.APPLIED, Mark.HEALING):
        await journal.mark(name, mark)
        assert journal.read().deeds[0].entry.mark is mark
    assert journal.open_here == 1
    await journal.mark(name, Mark.HEALED)
    assert journal.read().deeds == ()
    assert journal.open_here == 0
    (line,) = journal.history()
    assert line["healed_by"] == "the run"
    assert list(line["marked_at"]) == ["intent", "applied", "healing", "healed"]  # type: ignore[call-overload]


async def test_an_entry_that_somebody_closed_is_opened_again_by_whoever_finds_the_fault_in_place(journal: DiskJournal):
    name = await journal.intend("f", Kill(target="pg2"), MEMBER, {})
    journal.close(journal.read().deeds[0].entry, "its guard")  # while the run was stopped
    await journal.mark(name, Mark.APPLIED)
    assert [deed.entry.id for deed in journal.read().deeds] == [name]


async def test_a_cancelled_intention_leaves_no_entry(journal: DiskJournal):
    task = asyncio.create_task(journal.intend("f", Kill(target="pg2"), MEMBER, {}))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    assert journal.read().deeds == ()


async def test_what_cannot_be_written_is_not_intended(journal: DiskJournal, monkeypatch: pytest.MonkeyPatch):
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    name = await journal.intend("first", Kill(target="pg2"), MEMBER, {})
    said: list[str] = []
    journal._say = said.append
    monkeypatch.setattr(journal_directory.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        await journal.intend("f", Kill(target="pg2"), MEMBER, {})
    await journal.mark(name, Mark.APPLIED)  # no reason to raise: the entry stays, and healing is safe
    monkeypatch.undo()
    (deed,) = journal.read().deeds
    assert deed.entry.mark is Mark.INTENT
    assert "No space left on device" in said[0]


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda raw: raw[: len(raw) // 2], "it is no JSON"),
        (lambda raw: b"", "it is no JSON"),
        (
            lambda raw: raw.replace(b'"version": 1', b'"version": 7'),
            "its format is 7, written by chaosbench .* reads 1",
        ),
        (lambda raw: raw.replace(b'"kill"', b'"melt"'), "no injector 'melt'"),
        (lambda raw: raw.replace(b'"hold"', b'"hodl"'), "settings of kill: hodl"),
        (lambda raw: raw.replace(b'"pid"', b'"dip"'), "dip|pid"),
        (lambda raw: b"[]", "its format is None"),
    ],
)
async def test_an_entry_that_cannot_be_used_is_told_and_hides_no_other(tmp_path, journal: DiskJournal, spoil, why: str):
    cluster = FileCluster(tmp_path / "cluster")
    await opened(journal, Plan("kill", "pg2"), cluster.member("pg2"))
    (path,) = (journal.directory / "journal").glob("*.json")
    path.write_bytes(spoil(path.read_bytes()))
    await opened(journal, Plan("kill", "pg3"), cluster.member("pg3"))
    cluster.states["pg3"] = RunState.EXITED
    outcome = await asyncio.to_thread(healed, tmp_path)
    assert cluster.whole
    assert not outcome.whole
    good, bad = outcome.lines()
    assert good == "healed: kill-pg3: kill on pg3"
    assert re.search(why, bad)
    assert bad.endswith(f"rm {path}")


def test_a_torn_temporary_file_is_harmless(journal: DiskJournal):
    torn = journal.directory / "journal" / ".999999999-x.new"
    torn.write_bytes(b'{"vers')
    assert journal.read() == journal_directory.Open((), ())
    journal.prepare()
    assert not torn.exists()


def test_no_place_for_a_journal(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(PreflightError, match=r"no journal of faults can be kept in .*set XDG_STATE_HOME"):
        DiskJournal(tmp_path / "file" / "x").prepare()


async def test_the_history_is_bounded(journal: DiskJournal, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(journal_directory, "HISTORY_BYTES", 3000)
    for number in range(30):
        await journal.mark(await journal.intend(f"f{number}", Kill(target="pg2"), MEMBER, {}), Mark.HEALED)
    size = sum(path.stat().st_size for path in journal.directory.glob("history*"))
    assert size < 10_000
    names = [str(line["fault"]) for line in journal.history()]
    assert names == [f"f{number}" for number in range(30 - len(names), 30)]
    assert len(names) >= 4


def test_where_it_lies(tmp_path: Path):
    assert state_directory("lab", {"XDG_STATE_HOME": str(tmp_path)}) == tmp_path / "chaosbench" / "lab"
    assert state_directory("lab", {}) == Path.home() / ".local/state/chaosbench/lab"
    assert state_directory("lab", {"XDG_STATE_HOME": "relative"}) == state_directory("lab", {})


def test_one_run_a_lab_and_one_healer_a_journal(tmp_path: Path):
    used = "another chaosbench run is using the lab 'test-of-the-lock'"
    with alone("test-of-the-lock"), pytest.raises(PreflightError, match=used), alone("test-of-the-lock"):
        pytest.fail("two at once")
    waited = pytest.raises(ClusterUnavailable, match="another process heals")
    with healing(tmp_path, 0), waited, healing(tmp_path, 0.2):
        pytest.fail("two at once")


class Healing:
    """A journal with open entries, a fake cluster on virtual time, and what came of healing."""

    def __init__(self, tmp_path: Path) -> None:
        self.clock = loop_clock()
        self.cluster = FakeCluster(self.clock)
        self.journal = DiskJournal(tmp_path / "state")
        self.journal.prepare()

    async def open(self, kind: str, name: str, mark: Mark = Mark.APPLIED) -> None:
        await opened(self.journal, Plan(kind, name), self.cluster.member(name), mark)

    async def heal(self, **waits: float) -> Outcome:
        patience = Patience(heal=20, tries=2, pause=1)
        return await heal_all(self.journal, self.cluster, self.clock, "t", waits=Waits(patience=patience, **waits))  # type: ignore[arg-type]


async def test_a_stuck_heal_blocks_no_other_and_ends_with_a_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    at = Healing(tmp_path)
    done: list[str] = []

    async def start(member: Member) -> None:
        if member.name == "pg1":
            await asyncio.Event().wait()
        at.cluster.states[member.name] = RunState.RUNNING
        done.append(member.name)

    monkeypatch.setattr(at.cluster, "start", start)
    for name in ("pg1", "pg2", "pg3"):
        await at.open("kill", name)
        at.cluster.states[name] = RunState.EXITED
    patience = Patience(heal=0.3, tries=2, pause=0.01)
    outcome = await heal_all(at.journal, at.cluster, at.clock, "t", waits=Waits(patience=patience))
    assert sorted(done) == ["pg2", "pg3"]
    (stuck,) = (each for each in outcome.healed if each.end is End.FAILED)
    assert stuck.remedy == "docker start id-of-pg1"
    assert "NOT healed: kill-pg1: kill on pg1" in str(stuck)
    assert str(stuck).endswith("to heal by hand: docker start id-of-pg1")
    assert [deed.member.name for deed in at.journal.read().deeds] == ["pg1"]
    assert at.journal.read().deeds[0].entry.mark is Mark.HEALING


async def test_of_one_member_the_container_comes_first_then_the_newest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    at = Healing(tmp_path)
    order: list[str] = []

    class Inside(Pause):
        kind = "inside"
        touches = Part.RULES

        async def present(self, cluster, member, before) -> bool:
            return False

        async def heal(self, cluster, member, before) -> None:
            order.append(self.target)
            assert cluster.states["pg1"] is RunState.RUNNING, "into a frozen container nothing can be healed"

    monkeypatch.setattr("chaosbench.journal.entries.INJECTORS", {**INJECTORS, "inside": Inside})
    pg1 = at.cluster.member("pg1")
    at.cluster.states["pg1"] = RunState.PAUSED
    for target in ("oldest", "newer"):
        await at.journal.intend(target, Inside(target=target), pg1, {})
        await asyncio.sleep(0.001)
    await at.open("pause", "pg1")
    await asyncio.sleep(0.001)
    await at.journal.intend("newest", Inside(target="newest"), pg1, {})
    outcome = await at.heal(settle=0.0)
    assert outcome.whole, outcome.lines()
    assert order == ["newest", "newer", "oldest"]


async def test_a_lab_made_anew_closes_the_entry(tmp_path: Path):
    at = Healing(tmp_path)
    gone = replace(at.cluster.member("pg1"), container_id="of-last-week")
    await opened(at.journal, Plan("kill", "pg1"), gone)
    outcome = await at.heal()
    assert outcome.lines() == ["over: kill-pg1: kill on pg1 (its container is gone: the lab was made anew)"]
    assert outcome.whole
    assert next(iter(at.journal.history()))["note"] == "its container is gone: the lab was made anew"


async def test_another_engine_is_not_taken_for_a_lab_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    at = Healing(tmp_path)
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    await at.open("kill", "pg1")
    monkeypatch.delenv("DOCKER_HOST")
    outcome = await at.heal()
    assert "it is on another engine: heal with DOCKER_HOST=tcp://127.0.0.1:1" in outcome.lines()[0]
    assert len(at.journal.read().deeds) == 1


async def test_an_order_of_the_dead_that_takes_effect_late_is_healed(tmp_path: Path):
    at = Healing(tmp_path)
    await at.open("kill", "pg1", Mark.INTENT)
    asyncio.get_running_loop().call_later(0.25, lambda: at.cluster.states.update(pg1=RunState.EXITED))
    outcome = await at.heal(settle=0.5, poll=0.05)
    assert outcome.whole
    assert at.cluster.states["pg1"] is RunState.RUNNING
    assert at.cluster.calls == [("start", "pg1")]


async def test_an_engine_that_is_coming_back_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    at = Healing(tmp_path)
    await at.open("pause", "pg1")
    at.cluster.states["pg1"] = RunState.PAUSED
    there = at.cluster.containers
    back = at.clock.now() + 400_000_000

    async def containers():
        if at.clock.now() < back:
            raise ClusterUnavailable("no answer from the Docker engine")
        return await there()

    monkeypatch.setattr(at.cluster, "containers", containers)
    outcome = await at.heal(engine=5.0, poll=0.05)
    assert outcome.whole
    assert at.cluster.states["pg1"] is RunState.RUNNING


async def test_an_engine_that_stays_away_is_told_with_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    at = Healing(tmp_path)
    await at.open("pause", "pg1")

    async def containers():
        raise ClusterUnavailable("no answer from the Docker engine")

    monkeypatch.setattr(at.cluster, "containers", containers)
    began = at.clock.now()
    outcome = await at.heal(engine=0.2, poll=0.05)
    assert to_s(at.clock.now() - began) < 2
    assert outcome.lines() == [
        "NOT healed: pause-pg1: pause on pg1 (no answer from the Docker engine); "
        "to heal by hand: docker unpause id-of-pg1"
    ]


async def test_only_the_faults_of_one_process(tmp_path: Path):
    at = Healing(tmp_path)
    await at.open("kill", "pg1")
    await at.open("kill", "pg2")
    first, second = sorted((at.journal.directory / "journal").glob("*.json"))
    first.write_text(json.dumps(json.loads(first.read_text()) | {"pid": 1}))
    at.cluster.states["pg1"] = at.cluster.states["pg2"] = RunState.EXITED
    outcome = await heal_all(at.journal, at.cluster, at.clock, "its guard", pid=1, waits=Waits(patience=QUICK))
    assert len(outcome.healed) == 1
    assert (at.cluster.states["pg1"], at.cluster.states["pg2"]) == (RunState.RUNNING, RunState.EXITED)
    assert second.exists()


async def test_a_heal_that_fails_says_why(tmp_path: Path):
    at = Healing(tmp_path)
    await at.open("kill", "pg1")
    at.cluster.states["pg1"] = RunState.EXITED
    at.cluster.failures["start"] = [FaultError("no space left")] * 9
    patience = Patience(tries=2, pause=0.01)
    outcome = await heal_all(at.journal, at.cluster, at.clock, "t", waits=Waits(patience=patience))
    assert outcome.lines() == [
        "NOT healed: kill-pg1: kill on pg1 (no space left); to heal by hand: docker start id-of-pg1"
    ]
