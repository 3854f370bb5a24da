"""A scenario from start to verdict, on virtual time: what went wrong is told, healed, and never costs the results."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from itertools import count

import pytest
from crews import FakeCrew
from fakes import ClusterServer, FakeDatabase, NodesAlone, unobserved

from chaosbench.clock import loop_clock
from chaosbench.cluster.fake import FakeCluster
from chaosbench.errors import (
    ClusterUnavailable,
    FaultError,
    InjectionError,
    PreflightError,
    TargetError,
    UndeterminedError,
)
from chaosbench.events import Event, Kind
from chaosbench.expectations import parse_expectation
from chaosbench.injectors import Injector
from chaosbench.injectors.kill import Kill
from chaosbench.injectors.pause import Pause
from chaosbench.model.cluster import RunState, Snapshot
from chaosbench.model.faults import Permits
from chaosbench.model.report import Summary, Verdict
from chaosbench.model.scenario import Spread, StreamSettings, Windows
from chaosbench.recorder.recorder import Recorder
from chaosbench.scenarios.preflight import require_faults
from chaosbench.scenarios.run import Bench, run_scenario
from chaosbench.scenarios.scenario import Scenario, ScheduledFault, Stream
from chaosbench.sinks.hub import Hub
from chaosbench.workload import LedgerWorkload, SelectOnly

pytestmark = pytest.mark.looptime(noop_cycles=0)


class Watcher:
    """A sink that remembers."""

    name = "watcher"

    def __init__(self) -> None:
        self.events: list[Event] = []

    def on_event(self, event: Event) -> None:
        self.events.append(event)

    def on_tick(self, recorder: Recorder) -> None:
        pass

    def close(self) -> None:
        pass

    def kinds(self) -> list[Kind]:
        return [event.kind for event in self.events]


class Rig:
    """A bench on a fake cluster of which the clients see what they would through Pgpool."""

    def __init__(self) -> None:
        self.clock = loop_clock()
        self.cluster = FakeCluster(self.clock, failover_delay=4.0)
        self.server = ClusterServer(self.cluster, self.clock)
        self.database = FakeDatabase(self.server)
        self.watcher = Watcher()
        self.bench = Bench(
            cluster=self.cluster,
            database=self.database,
            hub=Hub([self.watcher], self.clock),
            clock=self.clock,
            anchor=self.clock.anchor(),
            seed=1,
            stop=asyncio.Event(),
            observe=unobserved,
            scenario_file="text",
        )

    async def run(self, *faults: tuple[float, Injector], **changes: object) -> Summary:
        return await run_scenario(scenario(*faults, **changes), self.bench)

    def whole(self) -> bool:
        return all(state is RunState.RUNNING for state in self.cluster.states.values())

    def at(self, seconds: float, call: Callable[[], object]) -> None:
        """Do something so many seconds after now; the measurement begins at about 1.5."""
        asyncio.get_running_loop().call_later(seconds, call)


def scenario(*faults: tuple[float, Injector], expect: dict[str, str] | None = None, **changes: object) -> Scenario:
    planned = [
        ScheduledFault.once(f"{fault.kind}-{number}", at, fault) for number, (at, fault) in enumerate(faults, start=1)
    ]
    plain = Scenario(
        name="test",
        description="",
        duration=10.0,
        warm_up=1.0,
        recovery=20.0,
        scale=1,
        streams=(
            Stream(
                name="ledger",
                workload=LedgerWorkload(),
                settings=StreamSettings(rate="200/s", connections=4),  # type: ignore[arg-type]
            ),
        ),
        faults=tuple(planned),
        expectations=tuple(parse_expectation(metric, limit) for metric, limit in (expect or {}).items()),
        windows=Windows(),
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def kill(target: str = "leader", hold: str = "5s") -> Kill:
    return Kill(target=target, hold=hold)  # type: ignore[arg-type]


def pause(target: str = "leader", hold: str = "2s") -> Pause:
    return Pause(target=target, hold=hold)  # type: ignore[arg-type]


async def test_a_steady_run_passes():
    rig = Rig()
    summary = await rig.run(expect={"ok_rate": ">= 100%", "rpo": "== 0", "p99": "<= 50ms", "throughput": ">= 199/s"})
    assert (summary.verdict, summary.why) == (Verdict.PASS, "")
    assert summary.cluster_whole_again
    assert summary.load.attempted == summary.load.ok == pytest.approx(2000, abs=2)
    assert summary.duration_s == pytest.approx(10, abs=0.01)
    assert summary.error_windows == summary.faults == ()
    ledger = summary.ledger
    assert ledger is not None
    # The warm-up's rows are in the ledger as well, though not in the load's figures.
    assert ledger.acked == ledger.attempted == pytest.approx(2200, abs=4)
    assert (ledger.lost, ledger.unexpected, ledger.checked) == (0, 0, True)
    stages = [event.data["name"] for event in rig.watcher.events if event.kind is Kind.STAGE]
    assert list(dict.fromkeys(stages)) == ["health", "data", "connect", "warm_up", "load", "drain", "recover", "ledger"]


async def test_the_rto_of_a_leader_kill_is_the_failover_as_clients_saw_it():
    rig = Rig()
    summary = await rig.run((3.0, kill()), expect={"rto": "<= 5s", "rpo": "== 0", "unexpected": "== 0"})
    assert summary.verdict is Verdict.PASS, summary.why
    (fault,) = summary.faults
    assert (fault.member, fault.leader_before, fault.leader_after) == ("pg1", "pg1", "pg2")
    assert fault.injecting_at_s == pytest.approx(3.0, abs=0.001)
    assert fault.healed_at_s == pytest.approx(8.0, abs=0.001)
    assert fault.rto_s == pytest.approx(4.0, abs=0.01)
    assert fault.write_gap_s == pytest.approx(4.0, abs=0.01)
    assert fault.t1_s == pytest.approx(3.0, abs=0.01)
    assert fault.recovered is True
    (window,) = summary.error_windows
    assert fault.error_windows == (window,)
    assert (window.op_class, window.fault) == ("write", "kill-1")
    assert window.duration_s == pytest.approx(4.0, abs=0.01)
    assert window.failed == summary.load.failed > 0
    assert [k for k in rig.watcher.kinds() if k in (Kind.FAULT_INJECTING, Kind.FAULT_INJECTED, Kind.FAULT_HEALED)] == [
        Kind.FAULT_INJECTING,
        Kind.FAULT_INJECTED,
        Kind.FAULT_HEALED,
    ]


async def test_an_rto_beyond_the_limit_fails():
    summary = await Rig().run((3.0, kill()), expect={"rto": "<= 3s"})
    assert (summary.verdict, summary.why) == (Verdict.FAIL, "rto <= 3s")


async def test_writes_that_never_come_back_are_a_failed_rto_and_a_cluster_that_is_not_whole():
    rig = Rig()
    rig.cluster.demote_after, rig.cluster.failover_delay = 1.0, 600.0
    summary = await rig.run(
        (3.0, pause("etcd")),
        expect={"rto": "<= 3s", "rpo": "== 0"},
        recovery=5.0,
        permits=Permits(quorum_loss=True),
    )
    (fault,) = summary.faults
    assert (fault.rto_s, fault.recovered, fault.t6_s) == (None, False, None)
    assert fault.t1_s == pytest.approx(4.0, abs=0.01)
    assert fault.healed_at_s == pytest.approx(5.0, abs=0.01)
    assert fault.write_gap_s == pytest.approx(6.0, abs=0.02), "the open gap counts, up to the end of the load"
    assert summary.verdict is Verdict.FAIL
    assert summary.why == "rto <= 3s; the cluster did not become whole again"
    assert not summary.cluster_whole_again
    rto = summary.expectations[0]
    assert (rto.verdict, rto.value, rto.why) == (Verdict.FAIL, None, "writes did not come back after pause-1")
    assert summary.ledger is not None
    assert summary.expectations[1].verdict is Verdict.PASS, "the ledger was looked at all the same"


async def test_a_cluster_that_is_not_whole_again_fails_without_any_expectation():
    rig = Rig()
    rig.at(5.0, lambda: rig.cluster.silent.add("pg3"))
    summary = await rig.run(recovery=5.0)
    assert (summary.verdict, summary.why) == (Verdict.FAIL, "the cluster did not become whole again")
    assert any("pg3" in event.data["text"] for event in rig.watcher.events if event.kind is Kind.WARNING)
    assert summary.load.ok == summary.load.attempted > 1900


async def test_lost_rows_fail_the_rpo():
    rig = Rig()
    rig.database.loses = frozenset({300, 301})
    summary = await rig.run(expect={"rpo": "== 0"}, duration=3.0)
    assert (summary.verdict, summary.why) == (Verdict.FAIL, "rpo == 0")
    assert summary.ledger is not None
    assert summary.ledger.lost_ids == (300, 301)
    assert summary.expectations[0].value == 2


async def test_a_second_primary_is_told_once_and_kept():
    rig, nodes = Rig(), NodesAlone()
    rig.bench = replace(rig.bench, observe=nodes.observe)

    def promoted() -> None:
        nodes.primaries = frozenset({"pg1", "pg3"})

    def demoted() -> None:
        nodes.primaries = frozenset({"pg1"})

    rig.at(4, promoted)
    rig.at(7, demoted)
    summary = await rig.run()
    assert [warning for warning in summary.warnings if "pg1 and pg3 were both out of recovery" in warning]
    (found,) = summary.consistency.double_primary
    assert found.nodes == ("pg1", "pg3")
    assert 2 < found.to_s - found.from_s < 3
    assert summary.verdict is Verdict.PASS, "a warning, no violation"


async def test_rows_acknowledged_by_two_nodes_in_turns_fail_the_scenario():
    rig = Rig()
    turns = count()

    def alternate() -> None:
        def row(sql: str, args: tuple[object, ...]) -> tuple[object, ...]:
            node = next(turns) % 2 + 1
            return f"pg{node}/0000000{node}", 0

        rig.server.row = row  # type: ignore[method-assign]

    rig.at(4, alternate)
    summary = await rig.run()
    assert summary.verdict is Verdict.FAIL
    assert "split brain: " in summary.why
    assert summary.consistency.split_brain


async def test_windows_are_tied_to_the_fault_that_opened_them():
    rig = Rig()
    rig.cluster.failover_delay = 1.0
    # Trouble of its own before any fault, then two faults.
    rig.at(3.5, lambda: setattr(rig.server, "behaviour", rig.server.fails(OSError("odd"))))
    rig.at(3.8, lambda: setattr(rig.server, "behaviour", rig.server.follows))
    summary = await rig.run((8.0, kill(hold="2s")), (28.0, kill(hold="2s")), duration=34.0)
    tied = [(window.fault, round(window.start_s)) for window in summary.error_windows]
    assert tied == [(None, 2), ("kill-1", 8), ("kill-2", 28)]
    assert [len(fault.error_windows) for fault in summary.faults] == [1, 1]
    assert summary.faults[1].rto_s == pytest.approx(1.0, abs=0.01)


async def test_a_fault_that_cannot_be_injected_leaves_the_verdict_open():
    rig = Rig()
    rig.cluster.failures = {"pause": [InjectionError("the engine said no")]}
    summary = await rig.run((2.0, pause()), (3.0, kill("replica", "2s")), expect={"ok_rate": ">= 99%"})
    assert (summary.verdict, summary.why) == (Verdict.UNKNOWN, "trouble with pause-1")
    first, second = summary.faults
    assert first.error is not None
    assert "the engine said no" in first.error
    assert (first.injected_at_s, second.error) == (None, None)
    # The first one is healed twice, since nobody knows what its order did; until then no second node is disabled.
    assert second.healed_at_s == pytest.approx(5.5, abs=0.01), "the others go on"
    assert summary.load.ok > 1900
    assert rig.watcher.kinds().count(Kind.FAULT_FAILED) == 1


async def test_a_target_that_is_not_there_is_said_and_nothing_is_touched():
    rig = Rig()
    with pytest.raises(TargetError, match="no target 'pg9'"):
        await require_faults([scenario((2.0, kill("pg9")))], rig.cluster)
    assert rig.cluster.calls == []


async def test_a_heal_that_fails_keeps_the_results_and_says_what_to_do():
    rig = Rig()
    rig.cluster.failures = {"start": [FaultError("no")] * 9}
    summary = await rig.run((2.0, kill(hold="1s")), recovery=3.0, duration=15.0)
    (fault,) = summary.faults
    assert fault.error is not None
    assert "docker start id-of-pg1" in fault.error
    assert (fault.healed_at_s, fault.rto_s) == (None, pytest.approx(4.0, abs=0.01))
    assert summary.verdict is Verdict.FAIL, "the cluster is not whole"
    assert "trouble with kill-1" in summary.why
    assert summary.load.ok > 2000
    assert Kind.HEAL_FAILED in rig.watcher.kinds()


async def test_an_engine_that_is_gone_at_the_end_does_not_cost_the_results():
    rig = Rig()

    async def gone(patience: float = 1.0) -> Snapshot:
        raise ClusterUnavailable("the engine does not answer")

    def vanish() -> None:
        rig.server.behaviour = rig.server.answers
        rig.cluster.snapshot = gone  # type: ignore[method-assign]

    rig.at(5.0, vanish)
    summary = await rig.run(duration=6.0, recovery=2.0)
    assert summary.verdict is Verdict.FAIL
    assert summary.load.ok > 1100
    assert "the engine does not answer" in summary.warnings


async def test_a_cluster_that_is_not_healthy_is_not_touched():
    rig = Rig()
    rig.cluster.states["pg2"] = RunState.EXITED
    with pytest.raises(ClusterUnavailable, match="not healthy after 120 s: pg2 is exited"):
        await rig.run((2.0, kill()))
    assert rig.cluster.calls == []
    assert rig.server.connects == 0


async def test_too_many_connections_for_pgpool_are_told_with_the_numbers():
    rig = Rig()
    stream = scenario().streams[0]
    many = replace(stream, settings=StreamSettings(rate="1/s", connections=243))  # type: ignore[arg-type]
    with pytest.raises(PreflightError) as raised:
        await rig.run(streams=(many,))
    assert "wants 243 connections, but Pgpool has room for 242" in str(raised.value)
    assert "num_init_children 260, reserved_connections 10" in str(raised.value)
    assert rig.server.connects == 0
    just_enough = replace(stream, settings=StreamSettings(rate="1/s", connections=242))  # type: ignore[arg-type]
    assert (await rig.run(streams=(just_enough,), duration=1.0)).load.attempted


async def test_clients_that_cannot_connect_end_the_run_before_it_begins():
    rig = Rig()
    rig.server.accepts = False
    with pytest.raises(ClusterUnavailable, match="only 0 of 4 clients could connect within 60 s"):
        await rig.run((2.0, kill()))
    assert rig.cluster.calls == []


async def test_a_request_to_stop_heals_and_reports():
    rig = Rig()
    rig.at(4.0, rig.bench.stop.set)
    summary = await rig.run((1.0, pause("replica", "8s")), expect={"ok_rate": ">= 90%"})
    assert (summary.verdict, summary.why) == (Verdict.UNKNOWN, "it was stopped early")
    assert summary.duration_s < 4
    assert summary.expectations[0].verdict is Verdict.PASS
    assert summary.faults[0].healed_at_s is not None
    assert rig.whole()


async def test_a_request_to_stop_during_the_warm_up_reports_an_empty_measurement():
    rig = Rig()
    rig.at(1.0, rig.bench.stop.set)
    summary = await rig.run((1.0, kill()))
    assert summary.verdict is Verdict.UNKNOWN
    assert summary.load.ok_per_s == 0
    assert rig.cluster.calls == []


async def test_fail_outweighs_a_stop():
    rig = Rig()
    rig.at(4.0, rig.bench.stop.set)
    summary = await rig.run(expect={"throughput": ">= 900/s"})
    assert (summary.verdict, summary.why) == (Verdict.FAIL, "throughput >= 900/s; it was stopped early")


async def cancelled(run: asyncio.Task[Summary]) -> None:
    with pytest.raises(asyncio.CancelledError):
        await run
    assert asyncio.all_tasks() == {asyncio.current_task()}, "nobody is left behind"


async def test_cancelled_while_a_fault_holds_it_heals_first():
    rig = Rig()
    run = asyncio.create_task(rig.run((1.0, pause("leader", "8s"))))
    await asyncio.sleep(4.0)
    assert rig.cluster.states["pg1"] is RunState.PAUSED
    run.cancel()
    await cancelled(run)
    assert rig.whole()
    assert not rig.server.connections


async def test_a_second_signal_does_not_cut_the_healing_short():
    rig = Rig()
    run = asyncio.create_task(rig.run((1.0, pause("leader", "8s"))))
    await asyncio.sleep(4.0)
    rig.cluster.takes = 3.0
    rig.bench.stop.set()
    await asyncio.sleep(1.0)
    run.cancel()  # what the daemon does at the second signal, in the middle of the healing
    await cancelled(run)
    assert rig.whole()


async def test_cancelled_before_anything_was_done():
    rig = Rig()
    rig.cluster.silent.add("pg3")
    run = asyncio.create_task(rig.run())
    await asyncio.sleep(1.0)
    run.cancel()
    await cancelled(run)


async def test_reads_alone_have_no_rto():
    rig = Rig()
    reads = Stream(name="reads", workload=SelectOnly(), settings=StreamSettings(clients=2, think="10ms"))  # type: ignore[arg-type]
    summary = await rig.run((2.0, kill("replica", "2s")), streams=(reads,), expect={"rto": "<= 1s"})
    (fault,) = summary.faults
    assert (fault.rto_s, fault.recovered, fault.write_gap_s) == (None, None, None)
    assert summary.ledger is None
    assert (summary.verdict, summary.why) == (Verdict.UNKNOWN, "rto: there were no writes to measure it with")


async def test_a_request_to_stop_before_the_measurement_is_heard_at_once():
    rig = Rig()
    rig.cluster.states["pg2"] = RunState.EXITED
    rig.at(0.7, rig.bench.stop.set)
    began_ns = rig.clock.now()
    with pytest.raises(UndeterminedError, match="stopped before the measurement began"):
        await rig.run()
    assert rig.clock.now() - began_ns < 1e9


async def test_a_second_outage_is_not_the_first_faults():
    rig = Rig()
    first, second = kill(hold="6s"), kill(hold="12s")
    rig.at(20.0, lambda: setattr(rig.cluster, "failover_delay", 8.0))
    summary = await rig.run((2.0, first), (22.0, second), duration=50.0)
    short, long = summary.faults
    assert short.rto_s == pytest.approx(4.0, abs=0.01)
    assert long.rto_s == pytest.approx(8.0, abs=0.01)
    assert short.write_gap_s == pytest.approx(4.0, abs=0.02)


async def test_what_went_down_again_with_the_engine_is_healed_again():
    rig = Rig()
    rig.at(9, lambda: rig.cluster.states.update(pg2=RunState.EXITED))  # healed at about 7.5, and taken down later
    summary = await rig.run((2.0, kill("pg2", "4s")))
    assert rig.whole()
    assert summary.cluster_whole_again
    texts = [str(event.data["text"]) for event in rig.watcher.events if event.kind is Kind.WARNING]
    assert "kill on pg2 was there again after it was healed, and is healed again" in texts


def carried(rig: Rig, monkeypatch: pytest.MonkeyPatch, workers: int = 2) -> FakeCrew:
    """Workers in this process, on the test's clock."""
    crew = FakeCrew(workers, rig.clock)
    monkeypatch.setattr("chaosbench.scenarios.carrying.crew_of", lambda spread: crew)
    return crew


async def test_a_leader_kill_with_workers_is_what_it_is_without(monkeypatch: pytest.MonkeyPatch):
    found = []
    for spread in (None, Spread(workers=2)):
        rig = Rig()
        carried(rig, monkeypatch)
        found.append(await rig.run((3.0, kill()), duration=20.0, expect={"rpo": "== 0"}, spread=spread))
    alone, wide = found
    assert (wide.verdict, wide.why) == (Verdict.PASS, "")
    assert alone.workers == ()
    assert [(one.connections, one.lost_at_s) for one in wide.workers] == [(2, None), (2, None)]
    for one, other in ((alone.faults[0], wide.faults[0]),):
        assert other.rto_s == pytest.approx(one.rto_s, abs=0.05)
        assert other.write_gap_s == pytest.approx(one.write_gap_s, abs=0.05)
        assert other.t1_s == pytest.approx(one.t1_s, abs=0.05)
    assert len(wide.error_windows) == len(alone.error_windows)
    assert wide.load.attempted == pytest.approx(alone.load.attempted, abs=3)
    assert wide.load.in_flight == 0
    assert wide.ledger is not None
    assert (wide.ledger.lost, wide.ledger.unexpected) == (0, 0)
    assert wide.ledger.attempted == pytest.approx(wide.load.attempted, abs=250)  # those of the warm-up are in it
    assert wide.consistency.split_brain == ()
    assert [one.node for one in wide.consistency.served] == [one.node for one in alone.consistency.served]


async def test_a_lost_worker_is_a_warning_or_the_end_as_the_scenario_says(monkeypatch: pytest.MonkeyPatch):
    rig = Rig()
    crew = carried(rig, monkeypatch)
    rig.at(5, crew.members[1].kill)
    summary = await rig.run(expect={"rpo": "== 0"}, spread=Spread(workers=2))
    assert (summary.verdict, summary.stopped_early) == (Verdict.PASS, False)
    assert any("worker 1 (fake://1) was lost" in text for text in summary.warnings)
    assert summary.duration_s == pytest.approx(10, abs=0.01)
    (lost,) = (event for event in rig.watcher.events if event.kind is Kind.WORKER_LOST)
    assert lost.data["why"] == "its process is gone"
    rig = Rig()
    crew = carried(rig, monkeypatch)
    rig.at(5, crew.members[1].kill)
    summary = await rig.run((1.0, pause(hold="60s")), spread=Spread(workers=2, on_worker_lost="fail"))
    assert summary.verdict is Verdict.FAIL
    assert "worker 1 was lost" in summary.why
    assert summary.duration_s < 6
    assert rig.whole(), "what was in place is healed"


async def test_without_any_worker_left_nothing_is_determined(monkeypatch: pytest.MonkeyPatch):
    rig = Rig()
    crew = carried(rig, monkeypatch)
    for member in crew.members:
        rig.at(5, member.kill)
    summary = await rig.run(spread=Spread(workers=2))
    assert (summary.verdict, summary.stopped_early) == (Verdict.UNKNOWN, True)
    assert "no worker was left" in summary.why
