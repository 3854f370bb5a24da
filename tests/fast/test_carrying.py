"""Who carries a load, where the workers find Pgpool, and what is said of them afterwards."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console
from summaries import summary

from chaosbench.distributed.dask import LocalCrew, SchedulerCrew
from chaosbench.engine.session import PostgresConnect
from chaosbench.model.cluster import Address, Login
from chaosbench.model.report import Verdict
from chaosbench.model.scenario import Spread
from chaosbench.model.workers import WorkerReport
from chaosbench.render.terminal import show
from chaosbench.scenarios.carrying import by_way_of, crew_of
from chaosbench.scenarios.worker_report import lost_workers, without_workers

HERE = PostgresConnect(Address("127.0.0.1", 9999), Login("u", "p", "d"), "chaosbench:load", 4.5)


def worker(number: int, lost_at_s: float | None = None) -> WorkerReport:
    return WorkerReport(
        worker=number,
        address=f"tcp://127.0.0.1:400{number}",
        connections=2,
        attempted=100,
        cpu_s=1.5,
        clock_offset_s=0.000_01,
        clock_uncertainty_ms=0.25,
        lost_at_s=lost_at_s,
        lost_why=None if lost_at_s is None else "its process is gone",
        in_flight_when_lost=0 if lost_at_s is None else 3,
    )


def test_workers_are_started_here_or_those_of_a_scheduler():
    assert isinstance(crew_of(Spread(workers=2)), LocalCrew)
    assert isinstance(crew_of(Spread(scheduler="tcp://10.0.0.5:8786")), SchedulerCrew)
    assert isinstance(crew_of(Spread(scheduler="tcp://10.0.0.5:8786", workers=3)), SchedulerCrew)


@pytest.mark.parametrize(
    ("proxy", "address"),
    [
        (None, HERE.address),
        ("db.example:6432", Address("db.example", 6432)),
        ("[fd00::1]:6432", Address("fd00::1", 6432)),
    ],
)
def test_workers_connect_to_pgpool_where_they_find_it(proxy: str | None, address: Address):
    spread = Spread(workers=1) if proxy is None else Spread(workers=1, proxy=proxy)
    assert by_way_of(spread, HERE) == replace(HERE, address=address)


def test_a_lost_worker_decides_as_the_scenario_says():
    here, gone = worker(0), worker(1, lost_at_s=2.5)
    go_on, fail = Spread(workers=2), Spread(workers=2, on_worker_lost="fail")
    assert list(without_workers([here, here], fail)) == []
    assert list(without_workers([here, gone], go_on)) == []
    assert list(without_workers([here, gone], fail)) == [(Verdict.FAIL, "worker 1 was lost")]
    assert list(without_workers([gone, gone], go_on)) == [(Verdict.UNKNOWN, "no worker was left")]
    assert lost_workers([here]) == ()
    (line,) = lost_workers([here, gone])
    assert line == (
        "worker 1 (tcp://127.0.0.1:4001) was lost 2.5 s into the load (its process is gone): "
        "3 operations unknown, its share of the load was offered no more"
    )


def test_a_terminal_tells_who_carried_the_load():
    def shown(*workers: WorkerReport) -> str:
        console = Console(file=io.StringIO(), width=120)
        show(replace(summary(), workers=workers), console)
        assert isinstance(console.file, io.StringIO)
        return console.file.getvalue()

    assert "carried the load" not in shown()
    assert "workers  2 carried the load; clocks aligned to within 0.25 ms\n" in shown(worker(0), worker(1))
    assert "within 0.25 ms; 1 lost\n" in shown(worker(0), worker(1, lost_at_s=1.0))
