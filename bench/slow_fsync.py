"""What the mechanism of slow-fsync costs by itself: latencies of a traced leader, without any delay to speak of.

    python bench/slow_fsync.py [--rounds 5] [--seconds 4] [--lab infra]

Needs the lab. In turn, round after round, the leader is left alone and is traced
with the shortest delay that can be written (1 us). Clients on direct
connections commit one small row after the other, then read one number after the
other. Told are medians over the rounds and, in brackets, the least and the most.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg

from chaosbench.clock import Clock
from chaosbench.cluster.docker import DockerCluster
from chaosbench.injectors.injection import Hands, injected
from chaosbench.injectors.slow_fsync import SlowFsync
from chaosbench.lab import find_lab
from chaosbench.model.cluster import Member

TABLE = "CREATE TABLE IF NOT EXISTS bench_slow_fsync (id bigserial PRIMARY KEY, at timestamptz)"
STATEMENTS = {"commit": "INSERT INTO bench_slow_fsync (at) VALUES (now())", "read": "SELECT 1"}
CLIENTS = (1, 8)
SETTLE_S = 1.0


@dataclass
class Case:
    """Latencies in ms of each round, and statements a second."""

    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    rate: list[float] = field(default_factory=list)

    def add(self, took: list[float], seconds: float) -> None:
        took.sort()
        self.p50.append(took[len(took) // 2] * 1e3)
        self.p99.append(took[len(took) * 99 // 100] * 1e3)
        self.rate.append(len(took) / seconds)


async def client(connection: asyncpg.Connection, statement: str, until: float) -> list[float]:
    took = []
    while (start := time.perf_counter()) < until:
        await connection.execute(statement, timeout=10)
        took.append(time.perf_counter() - start)
    return took


async def measure(cluster: DockerCluster, leader: Member, seconds: float) -> dict[tuple[str, int], list[float]]:
    login, address = cluster.login, leader.ports["sql"]
    found = {}
    async with AsyncExitStack() as stack:
        connections = []
        for _ in range(max(CLIENTS)):
            one = await asyncpg.connect(
                host=address.host,
                port=address.port,
                user=login.user,
                password=login.password,
                database=login.database,
                timeout=10,
            )
            stack.push_async_callback(one.close, timeout=5)
            connections.append(one)
        for name, statement in STATEMENTS.items():
            for count in CLIENTS:
                until = time.perf_counter() + seconds
                each = await asyncio.gather(*(client(one, statement, until) for one in connections[:count]))
                found[name, count] = [took for of_one in each for took in of_one]
    return found


async def bench(lab: Path, rounds: int, seconds: float) -> None:
    cases = {(name, n, traced): Case() for name in STATEMENTS for n in CLIENTS for traced in (False, True)}
    async with DockerCluster.at(lab) as cluster:
        leader = (await cluster.snapshot()).leader
        assert leader is not None, "the lab has no leader now"
        login, address = cluster.login, leader.ports["sql"]
        setup = await asyncpg.connect(
            host=address.host, port=address.port, user=login.user, password=login.password, database=login.database
        )
        await setup.execute(TABLE)
        fault = SlowFsync(target="leader", delay=1e-6, hold=120.0)
        for turn in range(rounds):
            for traced in (False, True) if turn % 2 == 0 else (True, False):
                async with AsyncExitStack() as stack:
                    if traced:
                        await stack.enter_async_context(injected("bench", fault, [leader], Hands(cluster, Clock())))
                    await asyncio.sleep(SETTLE_S)
                    for (name, count), took in (await measure(cluster, leader, seconds)).items():
                        cases[name, count, traced].add(took, seconds)
        await setup.execute("DROP TABLE bench_slow_fsync")
        await setup.close()
    show(cases)


def show(cases: dict[tuple[str, int, bool], Case]) -> None:
    print(f"{'what':8}{'clients':>8}{'traced':>8}{'p50 ms':>24}{'p99 ms':>26}{'a second':>22}")
    for (name, count, traced), case in sorted(cases.items()):
        cells = [told(case.p50, 3), told(case.p99, 2), told(case.rate, 0)]
        print(f"{name:8}{count:>8}{'yes' if traced else 'no':>8}{cells[0]:>24}{cells[1]:>26}{cells[2]:>22}")


def told(values: list[float], digits: int) -> str:
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--lab", type=Path, default=None)
    options = parser.parse_args()
    asyncio.run(bench(options.lab or find_lab(Path.cwd()), options.rounds, options.seconds))
