"""Patroni's leader key, watched on every etcd member at once.

A frozen member accepts connections and stays silent, and its watch looks just
like one under which nothing happens. So each member is also asked for the key
now and then; when that is not answered in time its watch is dropped and begun
anew from the revision after the last one seen: no change is ever missed, it is
only learned of late, and then stamped so. The first member to tell counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

import aiohttp

from chaosbench.clock import Clock
from chaosbench.cluster.gateway import Compacted, EtcdSilent, Gateway, KeyValue, Range
from chaosbench.model.cluster import Member
from chaosbench.model.observation import DcsView, KeyChange
from chaosbench.observers.pace import Pace

SOURCE = "dcs"
ALIVE_S = 0.25
"""While quick, a member is asked so often whether it is still there."""

_ANSWER_S = 1.0
_SELDOM_S = 2.0
_RETRY_S = 0.1
_LEADER = "leader"
_REQUEST = "failover"


class Dcs:
    """Follows the leader key; :meth:`run` ends only when cancelled.

    heard:    told of every change once, in the order of etcd's revisions as far as they come in order
    request:  told when somebody asks Patroni for a switchover
    """

    def __init__(
        self,
        members: Sequence[Member],
        http: aiohttp.ClientSession,
        clock: Clock,
        pace: Pace,
        heard: Callable[[KeyChange], None],
        request: Callable[[int], None],
    ) -> None:
        self._gateways = {member.name: Gateway(http, member.ports["etcd"]) for member in members}
        self._clock = clock
        self._pace = pace
        self._heard = heard
        self._request = request
        self._seen = 0
        self._lease = 0
        self._prefix = ""
        self.trouble = "no etcd member was asked yet"
        """Why the leader key could not be watched; empty once it was."""

    async def run(self) -> None:
        """Watch every member until cancelled."""
        async with asyncio.TaskGroup() as group:
            for name, gateway in self._gateways.items():
                group.create_task(self._follow(name, gateway))

    async def view(self) -> DcsView:
        """The lease and etcd's leader now; what nobody tells within a second is None."""
        asked_ns = self._clock.now()
        for _ in self._gateways:
            self._pace.asked(SOURCE)
        told = await asyncio.gather(
            *(gateway.member_and_leader(_ANSWER_S) for gateway in self._gateways.values()),
            self._time_to_live(),
            return_exceptions=True,
        )
        *members, ttl = told
        names = {ids[0]: name for name, ids in zip(self._gateways, members, strict=True) if isinstance(ids, tuple)}
        leaders = [names.get(ids[1]) for ids in members if isinstance(ids, tuple) and ids[1]]
        return DcsView(
            asked_ns,
            lease_ttl_s=ttl if isinstance(ttl, int) and ttl >= 0 else None,
            leader=next((name for name in leaders if name is not None), None),
        )

    async def _time_to_live(self) -> int:
        """Of the leader's lease, from whichever member answers first."""
        if not self._lease:
            raise EtcdSilent("the leader key has no lease")
        asking = [asyncio.ensure_future(g.time_to_live(self._lease, _ANSWER_S)) for g in self._gateways.values()]
        try:
            for answer in asyncio.as_completed(asking):
                self._pace.asked(SOURCE)
                try:
                    return await answer
                except EtcdSilent:
                    continue
            raise EtcdSilent("no etcd member answers")
        finally:
            for one in asking:
                one.cancel()
            await asyncio.gather(*asking, return_exceptions=True)

    async def _follow(self, name: str, gateway: Gateway) -> None:
        member = _Watched(name, gateway)
        while True:
            try:
                async with asyncio.TaskGroup() as group:
                    known = await self._begin(member)
                    group.create_task(self._listen(member, known))
                    group.create_task(self._alive(member))
            except* EtcdSilent as errors:
                self.trouble = self.trouble if self._seen else str(errors.exceptions[0])
            except* Compacted:
                member.next_revision = 0
            await self._clock.sleep(_RETRY_S)

    async def _begin(self, member: _Watched) -> int:
        """Look at the key as it is now; returns etcd's revision: what comes up to it happened before."""
        asked_ns = self._clock.now()
        if not self._prefix:
            self._prefix = await self._find(member.gateway)
        now = await self._leader_key(member)
        if not member.next_revision:
            for kv in now.keys:
                self._changed(member.name, kv, asked_ns if member.alive_ns is None else member.alive_ns)
            member.next_revision = now.revision + 1
        member.alive_ns = asked_ns if member.alive_ns is None else member.alive_ns
        return now.revision

    async def _find(self, gateway: Gateway) -> str:
        """What the names of Patroni's keys begin with."""
        self._pace.asked(SOURCE)
        keys = (await gateway.range("\0", "\0", _ANSWER_S, keys_only=True)).keys
        found = [kv.key for kv in keys if kv.key.endswith(f"/{_LEADER}")]
        if len(found) != 1:
            raise EtcdSilent(f"{len(found)} keys end in /{_LEADER}: one Patroni cluster was expected")
        return found[0].removesuffix(_LEADER)

    async def _leader_key(self, member: _Watched) -> Range:
        self._pace.asked(SOURCE)
        key = self._prefix + _LEADER
        return await member.gateway.range(key, key + "\0", _ANSWER_S)

    async def _listen(self, member: _Watched, known: int) -> None:
        self._pace.asked(SOURCE)
        first, past = self._prefix + _REQUEST, self._prefix + _LEADER + "\0"
        watch = member.gateway.watch(first, past, member.next_revision, _ANSWER_S)
        async with aclosing(watch):
            async for changes in watch:
                for kv in changes:
                    self._changed(member.name, kv, member.alive_ns if kv.revision <= known else None)
                    member.next_revision = kv.revision + 1

    async def _alive(self, member: _Watched) -> None:
        """Notice that a member fell silent; its watch would not."""
        while True:
            await self._pace.tick(ALIVE_S, _SELDOM_S)
            asked_ns = self._clock.now()
            await self._leader_key(member)
            member.alive_ns = asked_ns

    def _changed(self, member: str, kv: KeyValue, after_ns: int | None) -> None:
        """Tell of a change unless another member already did."""
        if kv.revision <= self._seen:
            return
        self._seen, self.trouble = kv.revision, ""
        now_ns = self._clock.now()
        if kv.key == self._prefix + _LEADER:
            self._lease = kv.lease
            self._heard(KeyChange(now_ns, now_ns if after_ns is None else after_ns, kv.value, kv.revision, member))
        elif kv.key == self._prefix + _REQUEST and kv.value:
            self._request(now_ns)


@dataclass(slots=True)
class _Watched:
    """One member's watch. ``alive_ns``: when it was last asked something that it answered."""

    name: str
    gateway: Gateway
    next_revision: int = 0
    alive_ns: int | None = None
