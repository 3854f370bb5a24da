"""The leader key through etcd's JSON gateway: members that freeze, break off, forget, and come back."""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp import web

from chaosbench.clock import Clock
from chaosbench.cluster.gateway import EtcdSilent, Gateway
from chaosbench.model.cluster import Address, Member, Role, RunState
from chaosbench.model.observation import KeyChange
from chaosbench.observers import dcs
from chaosbench.observers.dcs import Dcs
from chaosbench.observers.pace import Pace

PREFIX = "/service/lab/"


def encoded(text: str) -> str:
    return b64encode(text.encode()).decode()


@dataclass
class Store:
    """What all members of one etcd cluster have in common."""

    revision: int = 1
    history: list[dict[str, object]] = field(default_factory=list)
    compacted: int = 0
    ttl: int = 17
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def put(self, key: str, value: str | None, lease: int = 77) -> None:
        self.revision += 1
        kv: dict[str, object] = {"key": encoded(PREFIX + key), "mod_revision": str(self.revision)}
        event: dict[str, object] = {"kv": kv}
        if value is None:
            event["type"] = "DELETE"
        else:
            kv |= {"value": encoded(value), "lease": str(lease)}
        self.history.append(event)
        async with self.changed:
            self.changed.notify_all()

    def keys(self) -> dict[str, dict[str, object]]:
        found: dict[str, dict[str, object]] = {}
        for event in self.history:
            kv = event["kv"]
            assert isinstance(kv, dict)
            if event.get("type") == "DELETE":
                found.pop(kv["key"], None)
            else:
                found[kv["key"]] = kv
        return found


class FakeEtcd:
    """One member. ``frozen`` accepts and says nothing; ``refuses`` answers 503; ``cut`` ends its watches."""

    def __init__(self, store: Store, number: int) -> None:
        self.store = store
        self.number = number
        self.thawed = asyncio.Event()
        self.thawed.set()
        self.refuses = False
        self.cutting = asyncio.Event()
        self.watches: list[int] = []
        self.address = Address("127.0.0.1", 0)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        await self.thawed.wait()
        body = await request.json()
        if self.refuses:
            return web.json_response({"error": "no leader"}, status=503)
        header = {"member_id": str(self.number), "revision": str(self.store.revision)}
        match request.path:
            case "/v3/kv/range":
                keys = self.store.keys()
                if b64decode(body["key"]) != b"\0":
                    keys = {key: kv for key, kv in keys.items() if key == body["key"]}
                return web.json_response({"header": header, "kvs": list(keys.values())})
            case "/v3/lease/timetolive":
                assert body == {"ID": "77"}
                return web.json_response({"header": header, "TTL": str(self.store.ttl)})
            case "/v3/maintenance/status":
                return web.json_response({"header": header, "leader": "2"})
            case "/v3/watch":
                return await self.watch(request, body["create_request"])
        return web.Response(status=404)

    async def watch(self, request: web.Request, create: dict[str, str]) -> web.StreamResponse:
        start = int(create["start_revision"])
        self.watches.append(start)
        response = web.StreamResponse()
        await response.prepare(request)

        async def tell(result: dict[str, object]) -> None:
            await self.thawed.wait()
            await response.write(json.dumps({"result": result}).encode() + b"\n")

        with suppress(ConnectionError):
            await tell({"created": True})
            if start < self.store.compacted:
                await tell({"canceled": True, "compact_revision": str(self.store.compacted)})
                return response
            sent = 0
            while not self.cutting.is_set():
                events = [e for e in self.store.history[sent:] if int(e["kv"]["mod_revision"]) >= start]  # type: ignore[index]
                sent = len(self.store.history)
                if events:
                    await tell({"events": events})
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.02), self.store.changed:
                        await self.store.changed.wait()
        return response


@asynccontextmanager
async def served(etcd: FakeEtcd) -> AsyncIterator[None]:
    app = web.Application()
    app.router.add_post("/{path:.*}", etcd.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.05)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", etcd.address.port)
    await site.start()
    etcd.address = Address("127.0.0.1", runner.addresses[0][1])
    try:
        yield
    finally:
        etcd.cutting.set()
        etcd.thawed.set()
        await runner.cleanup()
        etcd.cutting.clear()


class Bench:
    """Two members and the observer of both."""

    def __init__(self, http: aiohttp.ClientSession, store: Store, members: tuple[FakeEtcd, ...]) -> None:
        self.store = store
        self.members = members
        self.heard: list[KeyChange] = []
        self.requests: list[int] = []
        self.pace = Pace(Clock())
        named = [
            Member(f"etcd{m.number}", Role.ETCD, f"id{m.number}", RunState.RUNNING, {"etcd": m.address})
            for m in members
        ]
        self.dcs = Dcs(named, http, Clock(), self.pace, self.hear, self.requests.append)
        self.news = asyncio.Event()

    def hear(self, change: KeyChange) -> None:
        self.heard.append(change)
        self.news.set()

    async def until(self, count: int, seconds: float = 3.0) -> list[str | None]:
        """Who held the key, once so many changes were heard of."""
        async with asyncio.timeout(seconds):
            while len(self.heard) < count:
                self.news.clear()
                await self.news.wait()
        return [change.holder for change in self.heard]


@pytest.fixture
async def bench(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    monkeypatch.setattr(dcs, "_ANSWER_S", 0.15)
    monkeypatch.setattr(dcs, "_RETRY_S", 0.02)
    monkeypatch.setattr(dcs, "ALIVE_S", 0.05)
    store = Store()
    await store.put("config", "{}")
    await store.put("leader", "pg1")
    one, two = FakeEtcd(store, 1), FakeEtcd(store, 2)
    async with served(one), served(two), aiohttp.ClientSession() as http:
        bench = Bench(http, store, (one, two))
        bench.pace.hasten()
        task = asyncio.create_task(bench.dcs.run())
        try:
            yield bench
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_who_holds_the_key_and_every_change_once(bench: Bench):
    assert await bench.until(1) == ["pg1"]
    before_ns = Clock().now()
    await bench.store.put("leader", None)
    await bench.store.put("history", "[]")
    await bench.store.put("failover", '{"leader": "pg1"}')
    await bench.store.put("leader", "pg2")
    assert await bench.until(3) == ["pg1", None, "pg2"]
    await asyncio.sleep(0.1)
    assert len(bench.heard) == 3, "the second member tells nothing new"
    assert [change.revision for change in bench.heard] == [3, 4, 7]
    lost = bench.heard[1]
    assert before_ns < lost.at_ns < before_ns + 100_000_000
    assert lost.after_ns == lost.at_ns, "a watch tells at once"
    assert len(bench.requests) == 1
    assert bench.dcs.trouble == ""


async def test_a_frozen_member_does_not_keep_the_other_from_telling(bench: Bench):
    await bench.until(1)
    bench.members[0].thawed.clear()
    await asyncio.sleep(0.3)
    await bench.store.put("leader", None)
    await bench.until(2)
    assert bench.heard[1].member == "etcd2"
    assert bench.heard[1].after_ns == bench.heard[1].at_ns


async def test_when_all_are_frozen_what_happened_is_told_after_the_thaw_with_its_uncertainty(bench: Bench):
    await bench.until(1)
    await asyncio.sleep(0.1)
    for member in bench.members:
        member.thawed.clear()
    frozen_ns = Clock().now()
    await asyncio.sleep(0.4)
    await bench.store.put("leader", None)
    await bench.store.put("leader", "pg3")
    thawed_ns = Clock().now()
    for member in bench.members:
        member.thawed.set()
    assert await bench.until(3) == ["pg1", None, "pg3"]
    for change in bench.heard[1:]:
        assert change.at_ns >= thawed_ns
        assert change.after_ns <= frozen_ns, "not told since then"
    assert max(m.watches[-1] for m in bench.members) >= 4, "resumed after the last revision seen, not from the start"


async def test_a_watch_that_is_cut_is_resumed_without_loss(bench: Bench):
    await bench.until(1)
    for round_ in range(3):
        for member in bench.members:
            member.cutting.set()
        await bench.store.put("leader", None)
        await bench.store.put("leader", f"pg{round_}")
        await asyncio.sleep(0.05)
        for member in bench.members:
            member.cutting.clear()
    assert await bench.until(7) == ["pg1", None, "pg0", None, "pg1", None, "pg2"]


async def test_revisions_that_were_compacted_away(bench: Bench):
    await bench.until(1)
    for member in bench.members:
        member.refuses = True
        member.cutting.set()
    await asyncio.sleep(0.1)
    await bench.store.put("leader", None)
    await bench.store.put("leader", "pg2")
    bench.store.compacted = bench.store.revision
    for member in bench.members:
        member.cutting.clear()
        member.refuses = False
    assert await bench.until(2) == ["pg1", "pg2"], "the loss in between is gone for good; the holder is known again"


async def test_the_dcs_just_before_a_fault(bench: Bench):
    await bench.until(1)
    view = await bench.dcs.view()
    assert (view.lease_ttl_s, view.leader) == (17, "etcd2")
    bench.members[0].thawed.clear()
    view = await bench.dcs.view()
    assert (view.lease_ttl_s, view.leader) == (17, "etcd2")
    bench.members[1].thawed.clear()
    view = await bench.dcs.view()
    assert (view.lease_ttl_s, view.leader) == (None, None)
    bench.members[0].thawed.set()
    assert (await bench.dcs.view()).leader is None, "nobody told which member has that id"


async def test_a_lease_that_is_gone_has_no_time_left(bench: Bench):
    await bench.until(1)
    bench.store.ttl = -1
    assert (await bench.dcs.view()).lease_ttl_s is None


@pytest.mark.parametrize("keys", [[], ["/service/a/leader", "/service/b/leader"]])
async def test_not_one_patroni_cluster(keys: list[str]):
    store = Store()
    for key in keys:
        await store.put(key.removeprefix(PREFIX), "pg1")
        store.history[-1]["kv"]["key"] = encoded(key)  # type: ignore[index]
    etcd = FakeEtcd(store, 1)
    async with served(etcd), aiohttp.ClientSession() as http:
        bench = Bench(http, store, (etcd,))
        task = asyncio.create_task(bench.dcs.run())
        await asyncio.sleep(0.1)
        assert bench.dcs.trouble == f"{len(keys)} keys end in /leader: one Patroni cluster was expected"
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_nobody_there():
    async with aiohttp.ClientSession() as http:
        gateway = Gateway(http, Address("127.0.0.1", 1))
        for ask in (gateway.range("a", "b", 1), gateway.time_to_live(1, 1), gateway.member_and_leader(1)):
            with pytest.raises(EtcdSilent, match=r"http://127\.0\.0\.1:1: "):
                await ask
        with pytest.raises(EtcdSilent):
            async for _ in gateway.watch("a", "b", 1, 1):
                pytest.fail("nobody tells anything")
