"""Workers as real processes, started by Dask, against a server that speaks PostgreSQL's protocol."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from ledgerserver import LedgerServer, listening

import chaosbench
from chaosbench.clock import Clock
from chaosbench.distributed.dask import LocalCrew, SchedulerCrew
from chaosbench.distributed.engine import RemoteEngine
from chaosbench.distributed.members import Crew
from chaosbench.distributed.wire import Plan, StreamPlan
from chaosbench.errors import ClusterUnavailable
from chaosbench.ledger import Ledger
from chaosbench.model.scenario import StreamSettings, Windows
from chaosbench.outcome import Outcome
from chaosbench.recorder.recorder import Recorder
from chaosbench.scenarios.report import counted
from chaosbench.share import Share
from chaosbench.staleness import Registers
from chaosbench.workload import LedgerWorkload

LIMIT_S = 30.0


class Wide:
    """A ledger load on a crew, measured for as long as the block lasts."""

    def __init__(
        self, crew: Crew, server: LedgerServer, version: str = chaosbench.__version__, **stream: object
    ) -> None:
        clock = Clock()
        self.crew, self.server, self.version = crew, server, version
        self.settings = StreamSettings(timeout="10s", deadline="1s", **stream)  # type: ignore[arg-type]
        self.ledger = Ledger(run=1_764_000_000_000_000)
        self.recorder = Recorder(clock, Windows(), lambda event: None)
        self.lost: list[tuple[object, ...]] = []
        self.told = asyncio.Event()
        self.engine = RemoteEngine(
            self.recorder,
            clock,
            crew,
            self.planned,
            connections=[self.settings.workers],
            shareable=(self.settings.workers, "the connections"),
            ledger=self.ledger,
            registers=Registers(run=1),
            patience=16.0,
            on_lag=lambda lag: None,
            on_lost=self.tell,
        )

    def tell(self, *what: object) -> None:
        self.lost.append(what)
        self.told.set()

    def planned(self, share: Share) -> Plan:
        stream = StreamPlan(
            name="load", settings=self.settings, workload=LedgerWorkload(), connect=self.server.connect()
        )
        return Plan(
            version=self.version,
            share=share,
            streams=(stream,),
            ledger_run=self.ledger.run,
            seed="seed",
            scale=1,
            outages=True,
            samples=False,
        )

    @asynccontextmanager
    async def loaded(self) -> AsyncIterator[None]:
        async with asyncio.timeout(LIMIT_S), self.engine.running():
            await self.engine.connected()
            self.engine.begin()
            await self.engine.turn()
            self.recorder = Recorder(self.recorder.clock, Windows(), lambda event: None)
            self.engine.record_in(self.recorder)
            yield
        self.recorder.finish()

    def accounted(self) -> None:
        """Every operation, and every row that the server has."""
        counts = counted(self.recorder.operations())
        assert counts.in_flight == 0
        assert counts.attempted == counts.ok + counts.failed + counts.unknown + counts.shed
        assert len(set(self.server.rows)) == len(self.server.rows), "no two workers make the same id"
        check = self.ledger.check("server", self.server.rows)
        assert (check.lost, check.unexpected) == ((), ())


def descendants() -> set[int]:
    """Processes below this one."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text()
        except OSError:
            continue
        fields = text.rpartition(")")[2].split()
        if fields[0] != "Z":
            parents[int(stat.parent.name)] = int(fields[1])
    found: set[int] = set()
    size = -1
    while len(found) != size:
        size = len(found)
        found |= {pid for pid, parent in parents.items() if parent == os.getpid() or parent in found}
    return found


def listener_of(address: str) -> int:
    """The process that listens at a worker's address."""
    port = int(address.rpartition(":")[2])
    inodes = {
        line.split()[9]
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
        if line.split()[3] == "0A" and int(line.split()[1].rpartition(":")[2], 16) == port
    }
    for pid in descendants():
        for fd in Path(f"/proc/{pid}/fd").glob("*"):
            try:
                if str(fd.readlink())[8:-1] in inodes:
                    return pid
            except OSError:
                continue
    raise AssertionError(f"nobody listens at {address}")


def await_end(pid: int) -> None:
    """Until the process is gone, for at most five seconds."""
    for _ in range(500):
        if not Path(f"/proc/{pid}").exists():
            return
        time.sleep(0.01)
    raise AssertionError(f"{pid} is still there")


def on_uvloop(pid: int) -> bool:
    return b"uvloop" in Path(f"/proc/{pid}/maps").read_bytes()


async def test_two_processes_carry_one_load_on_uvloop_and_are_gone_afterwards():
    before = descendants()
    async with listening() as server:
        wide = Wide(LocalCrew(2), server, rate="200/s", connections=5)
        async with wide.loaded():
            assert len(server.connections) == 5
            workers = [listener_of(one.address) for one in wide.engine.report()]
            loops = [on_uvloop(pid) for pid in workers]
            await asyncio.sleep(2)
        wide.accounted()
        assert not server.connections
    assert len(set(workers)) == 2
    assert os.getpid() not in workers
    assert loops == [True, True]
    assert counted(wide.recorder.operations()).attempted >= 300
    assert wide.lost == []
    # One machine has one monotonic clock: the truth is 0.
    for one in wide.engine.report():
        assert abs(one.clock_offset_s) * 1e3 <= one.clock_uncertainty_ms
        assert one.attempted > 0 < one.cpu_s
    assert not [pid for pid in workers if pid in descendants()]
    assert len(descendants() - before) <= 1, "Python's own resource tracker may stay"


async def test_a_worker_that_is_killed_is_told_and_the_other_goes_on():
    async with listening() as server:
        wide = Wide(LocalCrew(2), server, clients=4)
        async with wide.loaded():
            await asyncio.sleep(0.5)
            server.stalling = True
            await asyncio.sleep(0.5)
            victim, _ = wide.engine.report()
            os.kill(listener_of(victim.address), signal.SIGKILL)
            async with asyncio.timeout(5):
                await wide.told.wait()
            assert wide.lost == [(0, victim.address, "its process is gone", 2)]
            server.command("RELEASE")
            ok = wide.ledger.count(Outcome.OK)
            await asyncio.sleep(1)
            assert wide.ledger.count(Outcome.OK) > ok
        wide.accounted()
    (insert,) = wide.recorder.operations()
    assert insert.reasons[Outcome.UNKNOWN, "worker_lost"] == 2
    assert [one.lost_why for one in wide.engine.report()] == ["its process is gone", None]


async def test_what_tells_the_run_to_end_does_not_end_its_workers():
    async with listening() as server:
        wide = Wide(LocalCrew(1), server, clients=1)
        async with wide.loaded():
            (worker,) = (listener_of(one.address) for one in wide.engine.report())
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                os.kill(worker, number)
            await asyncio.sleep(0.3)
        wide.accounted()
    assert wide.lost == []
    assert worker not in descendants()


async def test_workers_do_not_outlive_a_killed_coordinator(tmp_path: Path):
    script = tmp_path / "coordinator.py"
    script.write_text(
        "import asyncio\n"
        "from chaosbench.distributed.dask import LocalCrew\n"
        "async def main():\n"
        "    async with LocalCrew(2).links() as links:\n"
        "        print(*(link.address for link in links), flush=True)\n"
        "        await asyncio.sleep(30)\n"
        "if __name__ == '__main__':\n"
        "    asyncio.run(main())\n"
    )
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, str(script), stdout=pipe, env=environment)
    async with asyncio.timeout(20):
        assert process.stdout is not None
        workers = [listener_of(address) for address in (await process.stdout.readline()).decode().split()]
        assert len(set(workers)) == 2
        process.kill()
        await process.wait()
        for pid in workers:
            await asyncio.to_thread(await_end, pid)


async def test_a_worker_of_another_version_refuses():
    async with listening() as server:
        wide = Wide(LocalCrew(1), server, version="0.0.0", clients=1)
        with pytest.raises(ClusterUnavailable, match=r"a worker did not begin: .*the coordinator 0\.0\.0"):
            async with wide.loaded():
                pass


async def test_a_scheduler_that_is_not_there_is_said_in_one_line(monkeypatch):
    monkeypatch.setattr("chaosbench.distributed.dask.START_S", 0.5)
    async with listening() as server:
        wide = Wide(SchedulerCrew("tcp://127.0.0.1:9", None), server, clients=1)
        with pytest.raises(ClusterUnavailable, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9") as raised:
            async with wide.loaded():
                pass
        assert "\n" not in str(raised.value)
