"""The observers that ask by SQL, on a server that answers, refuses, freezes and breaks off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvloop
from pgserver import LOGIN, PgServer, Rows, SqlError, listening

from chaosbench.clock import NS, Clock
from chaosbench.model.cluster import Member, Role, RunState
from chaosbench.model.observation import NodeChange, NodeState, ProxyChange, ProxyState
from chaosbench.model.scenario import Windows
from chaosbench.observers import canary, nodes, proxy
from chaosbench.observers.canary import Canary
from chaosbench.observers.changes import Changes
from chaosbench.observers.nodes import Nodes
from chaosbench.observers.pace import Pace
from chaosbench.observers.proxy import Proxy
from chaosbench.observers.record import Record
from chaosbench.observers.watch import Sources, Watch
from chaosbench.observers.wire import Refused, Wire
from chaosbench.outcome import OpClass
from chaosbench.postgres import QueryError
from chaosbench.primaries import DoublePrimary
from chaosbench.recorder.recorder import Recorder

MS = 1_000_000


@asynccontextmanager
async def running(*bodies: Callable[[], Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(body()) for body in bodies]
    try:
        yield
    finally:
        for task in tasks:
            assert not task.done(), task
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def opened(server: PgServer) -> Wire:
    return await Wire.open(server.address, LOGIN, "test", 1)


# --- the wire


async def test_a_wire_asks_by_either_protocol():
    async with listening(PgServer(lambda sql: [(sql, None)])) as server:
        wire = await opened(server)
        assert await wire.ask(b"SHOW x", 1) == [(b"SHOW x", None)]
        await wire.prepare(b"SELECT 1", 1)
        assert [await wire.ask_prepared(1) for _ in range(3)] == [[(b"SELECT 1", None)]] * 3
        wire.close()
        wire.close()
        with pytest.raises(QueryError, match="the connection is closed"):
            await wire.ask(b"SELECT 1", 1)


async def test_a_refused_statement_leaves_the_wire_usable():
    def answer(sql: str) -> Rows:
        if sql == "INSERT":
            raise SqlError("read-only")
        return []

    async with listening(PgServer(answer)) as server:
        wire = await opened(server)
        with pytest.raises(Refused, match="read-only"):
            await wire.ask(b"INSERT", 1)
        assert not wire.closed
        assert await wire.ask(b"SELECT", 1) == []
        wire.close()


async def test_a_wire_to_a_frozen_server_gives_up_in_time():
    async with listening(PgServer(lambda sql: [])) as server:
        wire = await opened(server)
        server.freeze()
        with pytest.raises(QueryError, match=r"did not answer within 0\.05 s"):
            await wire.ask(b"SELECT 1", 0.05)
        assert wire.closed
        with pytest.raises(QueryError, match=r"did not answer within 0\.05 s"):
            await Wire.open(server.address, LOGIN, "test", 0.05)


async def test_a_wire_that_is_cut_says_so_at_once():
    async with listening(PgServer(lambda sql: [])) as server:
        wire = await opened(server)
        server.freeze()
        asking = asyncio.create_task(wire.ask(b"SELECT 1", 5))
        await asyncio.sleep(0.02)
        server.break_off()
        async with asyncio.timeout(1):
            with pytest.raises(QueryError):
                await asking
        idle = await opened_after_thaw(server)
        server.break_off()
        await asyncio.sleep(0.02)
        assert idle.closed, "nobody had asked"


async def opened_after_thaw(server: PgServer) -> Wire:
    server.thaw()
    return await opened(server)


async def test_a_server_that_is_starting_or_not_there():
    async with listening(PgServer(lambda sql: [])) as server:
        server.accepts = False
        with pytest.raises(QueryError, match="starting up"):
            await opened(server)
    with pytest.raises(QueryError, match="refused"):
        await opened(server)


async def test_a_wire_that_is_cancelled_is_closed():
    async with listening(PgServer(lambda sql: [])) as server:
        wire = await opened(server)
        server.freeze()
        asking = asyncio.create_task(wire.ask(b"SELECT 1", 5))
        await asyncio.sleep(0.02)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        assert wire.closed


def test_a_wire_on_the_loop_that_runs_in_production():
    async def main() -> None:
        await test_a_wire_asks_by_either_protocol()
        await test_a_wire_that_is_cut_says_so_at_once()

    uvloop.run(main())


# --- samples


def test_a_change_lies_between_the_last_sample_of_the_old_state_and_the_first_of_the_new_one():
    told: list[tuple[int, int, str]] = []
    changes = Changes[str](lambda at, after, state: told.append((at, after, state)))
    for state, asked, answered in [("a", 0, 2), ("a", 10, 12), ("b", 20, 25), ("b", 30, 31), ("a", 40, 41)]:
        changes.sample(state, asked, answered)
    assert told == [(2, 0, "a"), (25, 10, "b"), (41, 30, "a")]
    changes.still(50)
    changes.sample("c", 55, 56)
    assert told[-1] == (56, 50, "c")


# --- nodes


class Node:
    """A node whose state the test sets."""

    def __init__(self) -> None:
        self.row: tuple[str | None, ...] = ("t", "1", "10.0.0.7")
        self.server = PgServer(lambda sql: [self.row])
        self.record = Record()
        self.pace = Pace(Clock())

    @asynccontextmanager
    async def followed(self) -> AsyncIterator[None]:
        async with listening(self.server):
            member = Member("pg1", Role.POSTGRES, "id", RunState.RUNNING, {"sql": self.server.address})
            self.pace.hasten()
            async with running(Nodes([member], LOGIN, Clock(), self.pace, self.record).run):
                await asyncio.sleep(0.1)
                yield

    @property
    def heard(self) -> list[NodeChange]:
        return self.record.nodes

    @property
    def states(self) -> list[NodeState]:
        return [change.state for change in self.heard]


STANDBY = NodeState(reachable=True, timeline=1, streaming=True)


async def test_a_node_that_is_promoted():
    node = Node()
    async with node.followed():
        assert node.states == [STANDBY]
        node.row = ("f", "2", "10.0.0.7")
        changed_ns = Clock().now()
        await asyncio.sleep(0.1)
        assert node.states[1:] == [NodeState(reachable=True, primary=True, timeline=2)]
        change = node.heard[1]
        assert change.after_ns <= changed_ns <= change.at_ns, "the truth lies between the two"
        assert change.at_ns - change.after_ns < 50 * MS
        quick, slow = node.pace.rates(nodes.SOURCE)
        assert 50 < quick < 110
        assert slow == 0


async def test_a_node_that_ends_and_comes_back_without_streaming():
    node = Node()
    async with node.followed():
        node.server.accepts = False
        node.server.break_off()
        await asyncio.sleep(0.1)
        node.row, node.server.accepts = ("t", None, None), True
        await asyncio.sleep(0.1)
    assert node.states == [STANDBY, NodeState(), NodeState(reachable=True)]
    assert node.heard[2].at_ns - node.heard[2].after_ns < 50 * MS


async def test_a_node_that_freezes_and_thaws(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(nodes, "_ANSWER_S", 0.1)
    node = Node()
    async with node.followed():
        node.server.freeze()
        frozen_ns = Clock().now()
        await asyncio.sleep(0.3)
        node.server.thaw()
        await asyncio.sleep(0.1)
    assert node.states == [STANDBY, NodeState(), STANDBY]
    assert node.heard[1].after_ns <= frozen_ns + 20 * MS


async def test_nodes_are_asked_seldom_while_nothing_is_wrong():
    node = Node()
    async with node.followed():
        node.pace.relax()
        await asyncio.sleep(0.05)
        asked = len(node.server.statements)
        await asyncio.sleep(0.5)
        assert len(node.server.statements) - asked <= 1
        node.pace.hasten()
        await asyncio.sleep(0.1)
        assert len(node.server.statements) - asked > 3, "at once, not when the second is over"


async def test_where_a_node_is():
    node = Node()
    named: list[tuple[str, str]] = []
    node.record.named = lambda address, name: named.append((address, name))
    async with node.followed():
        assert set(named) == {("10.0.0.7", "pg1")}


async def test_two_primaries_are_told_apart_from_a_switchover_before_the_second_is_over():
    """Asked once a second, and as soon as two say so, at once and often."""
    record, pace, found = Record(), Pace(Clock()), list[DoublePrimary]()
    record.doubled = found.append
    rows: dict[str, str] = {"pg1": "f", "pg2": "t"}
    servers = {name: PgServer(lambda sql, name=name: [(rows[name], "1", name)]) for name in rows}  # type: ignore[misc]
    async with listening(servers["pg1"]), listening(servers["pg2"]):
        members = [Member(n, Role.POSTGRES, n, RunState.RUNNING, {"sql": s.address}) for n, s in servers.items()]
        async with running(Nodes(members, LOGIN, Clock(), pace, record).run):
            await asyncio.sleep(0.3)
            rows["pg2"] = "f"
            promoted_ns = Clock().now()
            await asyncio.sleep(1.3)
            rows["pg1"] = "t"
            demoted_ns = Clock().now()
            await asyncio.sleep(0.2)
    (episode,) = found
    assert episode.nodes == ("pg1", "pg2")
    assert promoted_ns <= episode.from_ns < episode.to_ns <= demoted_ns
    assert episode.to_ns - episode.from_ns > 100 * MS, "both were asked again and again"
    assert not record.doubtful
    assert sum(len(server.statements) for server in servers.values()) < 250


# --- Pgpool

BACKENDS: Rows = [
    ("0", "pg1", "5432", "up", "standby", "7"),
    ("1", "pg2", "5432", "waiting", "primary", "7"),
    ("2", "pg3", "5432", "down", "standby", "7"),
]


@asynccontextmanager
async def proxied(server: PgServer) -> AsyncIterator[list[ProxyChange]]:
    heard: list[ProxyChange] = []
    pace = Pace(Clock())
    pace.hasten()
    async with listening(server), running(Proxy(server.address, LOGIN, Clock(), pace, heard.append).run):
        await asyncio.sleep(0.1)
        yield heard


async def test_whom_pgpool_takes_for_the_primary():
    async with proxied(PgServer(lambda sql: BACKENDS)) as heard:
        assert [change.state for change in heard] == [ProxyState(True, "pg2", frozenset({"pg1", "pg2"}))]


async def test_a_pgpool_that_lets_nobody_in_for_a_while(monkeypatch: pytest.MonkeyPatch):
    rows = BACKENDS[:1]
    server = PgServer(lambda sql: rows)
    async with proxied(server) as heard:
        server.freeze()
        server.break_off()
        await asyncio.sleep(0.3)
        rows = BACKENDS
        server.thaw()
        await asyncio.sleep(0.1)
    assert [change.state.primary for change in heard] == [None, None, "pg2"]
    assert [change.state.reachable for change in heard] == [True, False, True]
    assert heard[2].at_ns - heard[2].after_ns < 30 * MS, "waiting to be let in is seeing that nobody is"


# --- the canary


class Pgpool:
    """Pgpool as the canary meets it."""

    def __init__(self) -> None:
        self.read_only = False
        self.server = PgServer(self.answer)
        self.pace = Pace(Clock())

    def answer(self, sql: str) -> Rows:
        if self.read_only:
            raise SqlError("cannot execute INSERT in a read-only transaction")
        return []

    @asynccontextmanager
    async def written_to(self) -> AsyncIterator[Canary]:
        async with listening(self.server):
            bird = Canary(self.server.address, LOGIN, Clock(), self.pace)
            self.pace.hasten()
            async with running(bird.run):
                await asyncio.sleep(0.5)  # until every session is there
                yield bird


async def test_the_canary_keeps_its_rate():
    pgpool, clock = Pgpool(), Clock()
    began_ns = clock.now()
    async with pgpool.written_to():
        await asyncio.sleep(1.0)
        # Since the beginning: what fell due while a busy machine held the loop up, or nobody was connected, is made up.
        assert len(pgpool.server.statements) == pytest.approx(200 * (clock.now() - began_ns) / NS, abs=10)


async def test_the_canary_sees_an_outage_to_the_write():
    pgpool = Pgpool()
    async with pgpool.written_to() as bird:
        outage = bird.watch(Clock().now())
        pgpool.read_only, from_ns = True, Clock().now()
        await asyncio.sleep(0.3)
        pgpool.read_only, to_ns = False, Clock().now()
        await asyncio.sleep(0.1)
        bird.unwatch(outage)
        t1_ns, t6_ns = outage.t1_ns, outage.t6_ns(Clock().now())
    assert t1_ns is not None
    assert t6_ns is not None
    assert abs(t1_ns - from_ns) < 15 * MS
    assert 0 <= t6_ns - to_ns < 15 * MS


async def test_the_services_outage_is_that_of_the_load_and_the_canary_together():
    pgpool, clock = Pgpool(), Clock()
    recorder = Recorder(clock, Windows(), lambda event: None)
    load = recorder.tally("w", "write", OpClass.WRITE)
    async with pgpool.written_to() as bird:
        watch = Watch(Sources(pgpool.pace, Record(), canary=bird, runs={"nothing": asyncio.Event().wait}), clock)  # type: ignore[dict-item]
        watch.follow(recorder)
        async with watch.running():
            fault = watch.before()
            watch.injecting(fault, clock.now())
            pgpool.read_only = True
            await asyncio.sleep(0.15)
            acked_ns = clock.now()
            load.record_ok(acked_ns, acked_ns, acked_ns)
            await asyncio.sleep(0.3)
            pgpool.read_only = False
            await asyncio.sleep(0.2)
    assert fault.service is not None
    assert fault.canary is not None
    assert fault.closed_ns is not None
    together, alone = fault.service.longest_gap(fault.closed_ns), fault.canary.longest_gap(fault.closed_ns)
    assert together.from_ns == acked_ns, "the load's write ended the first part of the canary's outage"
    assert together.to_ns == alone.to_ns
    assert together.length_ns > 250 * MS
    assert alone.length_ns - together.length_ns > 100 * MS
    end_ns = clock.now()
    load.record_ok(end_ns, end_ns, end_ns)
    assert fault.service.last_ack_ns < end_ns, "it is followed no longer"


async def test_the_canary_asks_for_sessions_one_after_the_other():
    pgpool = Pgpool()
    async with pgpool.written_to():
        pgpool.server.accepts = False
        pgpool.server.break_off()
        connects = pgpool.server.connects
        await asyncio.sleep(1.0)
        assert 6 <= pgpool.server.connects - connects <= 12, "however quickly it is turned away"


async def test_the_canary_opens_anew_a_session_that_refuses_for_too_long(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(canary, "_RENEW_NS", 100 * MS)
    pgpool = Pgpool()
    async with pgpool.written_to():
        connects = pgpool.server.connects
        pgpool.read_only = True
        await asyncio.sleep(0.5)
        assert 3 <= pgpool.server.connects - connects <= 15


async def test_writes_that_could_not_be_sent_count_as_failed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(canary, "_TIMEOUT_S", 0.1)
    monkeypatch.setattr(canary, "_TIMEOUT_NS", 100 * MS)
    pgpool = Pgpool()
    async with pgpool.written_to() as bird:
        outage = bird.watch(Clock().now())
        pgpool.server.freeze()
        from_ns = Clock().now()
        await asyncio.sleep(0.5)
        pgpool.server.thaw()
        to_ns = Clock().now()
        await asyncio.sleep(0.2)
        t1_ns, t6_ns = outage.t1_ns, outage.t6_ns(Clock().now())
        assert t1_ns is not None
        assert t6_ns is not None
        assert abs(t1_ns - from_ns) < 15 * MS
        assert 0 <= t6_ns - to_ns < 30 * MS


async def test_the_canary_writes_seldom_while_nothing_is_wrong():
    pgpool = Pgpool()
    async with pgpool.written_to():
        pgpool.pace.relax()
        await asyncio.sleep(0.05)
        before = len(pgpool.server.statements)
        await asyncio.sleep(1.2)
        assert 1 <= len(pgpool.server.statements) - before <= 2


def test_states():
    assert nodes.state_of((b"t", None)) == NodeState(reachable=True)
    assert proxy.state_of([]) == ProxyState(reachable=True)
