"""The guard: ends when told to, takes over when its parent is gone or silent, and is replaced when it dies."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from crashing import Plan, opened

from chaosbench.clock import Clock
from chaosbench.cluster.fake import FakeCluster
from chaosbench.guard import BEAT, GOODBYE, __main__, take_over
from chaosbench.guard.parent import Guard, guarded
from chaosbench.journal.directory import DiskJournal
from chaosbench.model.cluster import RunState

LIGHT_MB = 25


@pytest.fixture
def journal(tmp_path: Path) -> DiskJournal:
    made = DiskJournal(tmp_path / "state")
    made.prepare()
    return made


@asynccontextmanager
async def guard_of(journal: DiskJournal, warnings: list[str]) -> AsyncIterator[Guard]:
    async with guarded(journal, journal.directory, Clock(), warnings.append) as guard:
        yield guard


def ended(pid: int, within: float = 10.0) -> bool:
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().split(") ")[1][0] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.05)
    return False


def resident_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmRSS"))


async def until(true, within: float = 10.0) -> None:
    async with asyncio.timeout(within):
        while not true():  # noqa: ASYNC110 - files and processes set no event
            await asyncio.sleep(0.05)


async def test_it_is_small_deaf_to_the_terminal_and_gone_after_goodbye(journal: DiskJournal):
    warnings: list[str] = []
    async with guard_of(journal, warnings) as guard:
        pid = guard.pid
        resident = resident_mb(pid)
        print(f"resident: {resident:.1f} MB")
        assert resident < LIGHT_MB
        assert os.getsid(pid) == pid, "a session of its own: a closed terminal does not reach it"
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(pid, number)
        await asyncio.sleep(1.5)
        assert guard.pid == pid
        assert not ended(pid, 0.1)
    assert ended(pid)
    assert warnings == []
    assert (journal.directory / "guard.log").read_text() == "", "nothing happened"


async def test_another_one_is_started_when_it_dies(journal: DiskJournal):
    warnings: list[str] = []
    async with guard_of(journal, warnings) as guard:
        first = guard.pid
        os.kill(first, signal.SIGKILL)
        await until(lambda: guard.pid not in (0, first))
        await until(lambda: warnings != [])
        assert not ended(guard.pid, 0.1)
    assert warnings == ["the guard is gone: another one is started"]


async def test_another_one_is_started_when_it_hangs(journal: DiskJournal, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("chaosbench.guard.parent.SILENCE_S", 2)
    warnings: list[str] = []
    async with guard_of(journal, warnings) as guard:
        first = guard.pid
        os.kill(first, signal.SIGSTOP)
        await until(lambda: guard.pid not in (0, first), 15)
    assert ended(first, 1)
    assert warnings == ["the guard has not answered for 2 s: another one is started"]


async def test_faults_that_are_left_are_left_to_it(journal: DiskJournal):
    warnings: list[str] = []
    async with guard_of(journal, warnings) as guard:
        pid = guard.pid
        await opened(journal, Plan("kill", "pg1"), FakeCluster(Clock()).member("pg1"))
    assert "goes on trying" in warnings[0]
    log = journal.directory / "guard.log"
    try:
        # There is no lab, so it cannot; but it has noticed that it must.
        await until(lambda: "healing" in log.read_text() and "lab.env is not there yet" in log.read_text(), 20)
        assert not ended(pid, 0.1), "it tries again"
        (deed,) = journal.read().deeds
        journal.close(deed.entry, "the test")
        assert ended(pid, 15), "nothing is left to do"
    finally:
        if not ended(pid, 0.1):
            os.kill(pid, signal.SIGKILL)


def test_a_parent_that_dies_without_a_word(tmp_path: Path, journal: DiskJournal):
    """Its end of the line is closed by the kernel, or it is not its child any more, whichever is noticed first."""
    script = (
        "import asyncio, os, sys\n"
        "from pathlib import Path\n"
        "from chaosbench.clock import Clock\n"
        "from chaosbench.guard.parent import guarded\n"
        "from chaosbench.journal.directory import DiskJournal\n"
        "async def main():\n"
        "    journal = DiskJournal(Path(sys.argv[1]))\n"
        "    async with guarded(journal, Path(sys.argv[1]), Clock(), print) as guard:\n"
        "        print(guard.pid, flush=True)\n"
        "        os.kill(os.getpid(), 9)\n"
        "asyncio.run(main())\n"
    )
    run = subprocess.run([sys.executable, "-c", script, str(journal.directory)], capture_output=True, text=True)
    assert run.returncode == -signal.SIGKILL, run.stderr
    assert ended(int(run.stdout), 15)
    assert "is gone; nothing to heal" in (journal.directory / "guard.log").read_text()


class Listening:
    """The guard's own loop in a thread of this process, and what it healed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reasons: list[str] = []
        self.line, its = socket.socketpair()
        self.its = its
        monkeypatch.setattr(__main__, "SILENCE_S", 2)
        monkeypatch.setattr(__main__, "BEAT_S", 0.1)
        monkeypatch.setattr(__main__, "_AGAIN_S", 0.05)
        monkeypatch.setattr(__main__.signal, "signal", lambda number, handler: None)
        monkeypatch.setattr(__main__.select, "select", lambda r, w, x, s: _select([its.fileno()], s))
        monkeypatch.setattr(__main__.os, "read", lambda handle, size: its.recv(size))
        monkeypatch.setattr(__main__.os, "write", lambda handle, words: its.send(words))
        self.succeeds = iter([True] * 99)
        monkeypatch.setattr(take_over, "take_over", self._take_over)

    def _take_over(self, lab: str, directory: str, parent: int, why: str) -> bool:
        self.reasons.append(why)
        return next(self.succeeds)

    async def start(self) -> int:
        return await asyncio.to_thread(__main__.main, "lab", "directory", os.getppid())


_real_select = __main__.select.select


def _select(handles: list[int], seconds: float):
    return _real_select(handles, [], [], seconds)


@pytest.fixture
def listening(monkeypatch: pytest.MonkeyPatch) -> Iterator[Listening]:
    made = Listening(monkeypatch)
    yield made
    made.line.close()
    made.its.close()


async def test_a_silent_parent_is_healed_after_and_listened_to_again(listening: Listening):
    guard = asyncio.create_task(listening.start())
    for _ in range(5):
        listening.line.send(BEAT)
        await asyncio.sleep(0.05)
    assert listening.reasons == [], "beats keep it quiet"
    await until(lambda: len(listening.reasons) == 1)
    assert "no word from chaosbench" in listening.reasons[0]
    listening.line.send(BEAT)
    await asyncio.sleep(0.1)
    listening.line.send(GOODBYE)
    assert await guard == 0
    assert len(listening.reasons) == 1


async def test_it_tries_again_until_all_is_healed(listening: Listening):
    listening.succeeds = iter([False, False, True])
    guard = asyncio.create_task(listening.start())
    listening.line.close()
    assert await guard == 0
    assert len(listening.reasons) == 3


async def test_it_gives_up_in_the_end(listening: Listening, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(__main__, "GIVE_UP_S", 0.3)
    listening.succeeds = iter([False] * 99)
    guard = asyncio.create_task(listening.start())
    listening.line.close()
    assert await guard == 3
    assert len(listening.reasons) >= 3


async def test_taking_over_heals_what_the_parent_left(tmp_path, journal: DiskJournal, monkeypatch, capsys):
    cluster = FakeCluster(Clock())

    class Lab:
        @staticmethod
        def at(lab: Path) -> Lab:
            return Lab()

        async def __aenter__(self) -> FakeCluster:
            return cluster

        async def __aexit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(take_over, "DockerCluster", Lab)
    await opened(journal, Plan("kill", "pg1"), cluster.member("pg1"))
    cluster.states["pg1"] = RunState.EXITED
    words = (str(tmp_path), str(journal.directory))
    assert await asyncio.to_thread(take_over.take_over, *words, os.getpid() + 1, "why")
    assert cluster.states["pg1"] is RunState.EXITED, "another run's"
    assert await asyncio.to_thread(take_over.take_over, *words, os.getpid(), "why")
    assert cluster.states["pg1"] is RunState.RUNNING
    assert "why: healing\n" in (out := capsys.readouterr().out)
    assert "healed: kill-pg1: kill on pg1" in out
    assert next(iter(journal.history()))["healed_by"] == "its guard"
