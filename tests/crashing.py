"""A process that dies at a chosen step: a cluster that keeps its state in files, and a count of everything durable."""

from __future__ import annotations

import asyncio
import os
import threading
import traceback
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from dataclasses import dataclass
from pathlib import Path

from chaosbench.clock import Clock
from chaosbench.cluster.fake import NODES, FakeCluster
from chaosbench.errors import ChaosbenchError
from chaosbench.injectors import Injector
from chaosbench.injectors.healing import Patience
from chaosbench.injectors.injection import Hands, injected
from chaosbench.injectors.record import Mark
from chaosbench.injectors.table import INJECTORS
from chaosbench.journal.directory import DiskJournal
from chaosbench.journal.whole import Outcome, Waits, heal_all
from chaosbench.model.cluster import Member, RunState

MEMBERS = (*NODES, "etcd1", "pgpool1")
QUICK = Patience(look=5, inject=5, heal=5, tries=3, pause=0.01)
CRASHED = 9


class Steps:
    """Counts what lasts beyond the process, and ends the process at one of them."""

    def __init__(self, fatal: int | None = None) -> None:
        self.fatal = fatal
        self.count = 0
        self._lock = threading.Lock()

    def step(self) -> None:
        with self._lock:
            self.count += 1
            if self.count == self.fatal:
                os._exit(CRASHED)

    def counted(self, function: Callable[..., object]) -> Callable[..., object]:
        """The function with a step before it and one after it."""

        def call(*args: object, **kwargs: object) -> object:
            self.step()
            result = function(*args, **kwargs)
            self.step()
            return result

        return call


class FileStates(MutableMapping[str, RunState]):
    """How each member runs, in a file of its own."""

    def __init__(self, directory: Path, steps: Steps) -> None:
        self.directory, self.steps = directory, steps

    def __getitem__(self, name: str) -> RunState:
        return RunState((self.directory / name).read_text())

    def __setitem__(self, name: str, state: RunState) -> None:
        self.steps.step()
        new = self.directory / f"{name}.new"
        new.write_text(state.value)
        os.rename(new, self.directory / name)  # noqa: PTH104 - os.replace is counted
        self.steps.step()

    def __delitem__(self, name: str) -> None:
        raise NotImplementedError

    def __iter__(self) -> Iterator[str]:
        return iter(MEMBERS)

    def __len__(self) -> int:
        return len(MEMBERS)


class FileCluster(FakeCluster):
    """The fake cluster, whose members stay as they are when the process dies."""

    def __init__(self, directory: Path, steps: Steps | None = None) -> None:
        super().__init__(Clock())
        directory.mkdir(exist_ok=True)
        self.states = FileStates(directory, steps or Steps())  # type: ignore[assignment]
        for name in MEMBERS:
            if not (directory / name).exists():
                (directory / name).write_text(RunState.RUNNING.value)

    @property
    def whole(self) -> bool:
        return set(self.states.values()) == {RunState.RUNNING}


@dataclass(frozen=True)
class Plan:
    """One fault of a run that will crash; seconds."""

    kind: str
    member: str
    at: float = 0.0
    hold: float = 0.02

    def injector(self) -> Injector:
        return INJECTORS[self.kind](target=self.member, hold=f"{self.hold:f}s")  # type: ignore[call-arg]


async def carry_out(plans: tuple[Plan, ...], cluster: FakeCluster, journal: DiskJournal) -> None:
    """The faults as a run has them; one that finds its member down is not injected."""
    hands = Hands(cluster, Clock(), journal, QUICK)

    async def one(number: int, plan: Plan) -> None:
        await asyncio.sleep(plan.at)
        try:
            async with injected(f"fault-{number}", plan.injector(), [cluster.member(plan.member)], hands):
                await asyncio.sleep(plan.hold)
        except ChaosbenchError:
            pass

    async with asyncio.TaskGroup() as group:
        for number, plan in enumerate(plans):
            group.create_task(one(number, plan))


def crash_at(step: int | None, plans: tuple[Plan, ...], directory: Path) -> bool:
    """Carry the plans out in a process that dies at that step. False when it came to its end before."""

    async def run(steps: Steps) -> None:
        journal = DiskJournal(directory / "state")
        journal.prepare()
        await carry_out(plans, FileCluster(directory / "cluster", steps), journal)

    return _in_child(lambda steps: asyncio.run(run(steps)), step) == CRASHED


def crash_healing_at(step: int, directory: Path) -> bool:
    """Heal in a process that dies at that step. False when it came to its end before."""
    return _in_child(lambda steps: healed(directory, FileCluster(directory / "cluster", steps)), step) == CRASHED


def _in_child(work: Callable[[Steps], object], step: int | None) -> int:
    """Do it in a process of its own, which ends at a step; its exit code."""
    pid = os.fork()
    if pid:
        _, status = os.waitpid(pid, 0)
        code = os.waitstatus_to_exitcode(status)
        assert code in (0, CRASHED), f"the child ended with {code}"
        return code
    steps = Steps(step)
    for name in ("fsync", "replace", "unlink"):
        setattr(os, name, steps.counted(getattr(os, name)))
    try:
        work(steps)
    except BaseException:  # whatever it is, it must not run the rest of the tests
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def healed(directory: Path, cluster: FakeCluster | None = None) -> Outcome:
    """What ``chaosbench heal`` does, in no time."""
    waits = Waits(engine=1, lock=5, turn=1, settle=0.02, poll=0.01, patience=QUICK)
    cluster = cluster or FileCluster(directory / "cluster")
    return asyncio.run(heal_all(DiskJournal(directory / "state"), cluster, Clock(), "the test", waits=waits))


async def opened(journal: DiskJournal, plan: Plan, member: Member, mark: Mark = Mark.APPLIED) -> str:
    """An entry as a run that is dead now left it."""
    entry = await journal.intend(f"{plan.kind}-{plan.member}", plan.injector(), member, {})
    if mark is not Mark.INTENT:
        await journal.mark(entry, mark)
    return entry


Do = Callable[[], Awaitable[None]]
