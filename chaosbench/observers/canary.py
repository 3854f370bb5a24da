"""A write 200 times a second through Pgpool, whatever becomes of it: when do writes stop, when are they back?

Open loop: each write has an intended start on a fixed grid, is kept waiting
when no connection is free, and counts as failed when it could not be sent
within a second. There is no back-off, so the canary is back when the cluster
is, where the load's clients may still be waiting for their turn. But it asks
for one new session every 100 ms and no more: letting one in costs Pgpool 50 ms
of a core, and a canary that asked as often as it could kept Pgpool from taking
its new primary for seconds. It has sessions and a table of its own and is not
part of the load.
"""

from __future__ import annotations

import asyncio
from collections import deque

from chaosbench.clock import Clock, to_ns
from chaosbench.model.cluster import Address, Login
from chaosbench.observers.pace import Pace
from chaosbench.observers.wire import Refused, Wire
from chaosbench.outage import WriteOutage
from chaosbench.postgres import QueryError

SOURCE = "canary"
PERIOD_S = 0.005
CONNECT_S = 0.1
LET_IN_S = (1.0, 2.0, 4.0)
"""How long each session waits to be let in. A Pgpool that changes its primary leaves some clients hanging for good, and
one that is short of CPU lets in those who wait for long."""
SESSIONS = len(LET_IN_S)
TABLE = """
CREATE TABLE IF NOT EXISTS chaosbench_canary (at timestamptz NOT NULL);
TRUNCATE chaosbench_canary;
"""

_SQL = b"INSERT INTO chaosbench_canary VALUES (now())"
_TIMEOUT_S = 1.0
_TIMEOUT_NS = to_ns(_TIMEOUT_S)
_RENEW_NS = to_ns(1.0)
"""A session whose write was refused may be tied to a former primary: it is used for so long, then opened anew."""


class Canary:
    """:meth:`run` ends only when cancelled."""

    def __init__(self, address: Address, login: Login, clock: Clock, pace: Pace) -> None:
        self._address = address
        self._login = login
        self._clock = clock
        self._pace = pace
        self._due: deque[int] = deque()
        self._free: deque[asyncio.Future[int]] = deque()
        self._connecting = asyncio.Lock()
        self._outages: tuple[WriteOutage, ...] = ()

    def watch(self, t0_ns: int) -> WriteOutage:
        """Follow the writes for the outage of a fault injected at ``t0_ns``."""
        return self.follow(WriteOutage(t0_ns))

    def follow(self, outage: WriteOutage) -> WriteOutage:
        """Tell this outage too what becomes of the writes."""
        self._outages = (*self._outages, outage)
        return outage

    def unwatch(self, outage: WriteOutage) -> None:
        """Stop following; the outage keeps what it saw."""
        self._outages = tuple(one for one in self._outages if one is not outage)

    async def run(self) -> None:
        """Write until cancelled."""
        async with asyncio.TaskGroup() as group:
            for let_in_s in LET_IN_S:
                group.create_task(self._session(let_in_s))
            group.create_task(self._arrivals())

    async def _arrivals(self) -> None:
        """One write for every instant of the grid, also for those at which the loop was held up."""
        step_ns = to_ns(PERIOD_S)
        while True:
            was_quick, last_ns = self._pace.quick, self._clock.now()
            await self._pace.tick(PERIOD_S)
            now_ns = self._clock.now()
            if was_quick:
                for at_ns in range((last_ns // step_ns + 1) * step_ns, now_ns + 1, step_ns):
                    self._arrive(at_ns)
            else:
                self._arrive(now_ns)
            while self._due and now_ns - self._due[0] > _TIMEOUT_NS:
                self._bad(self._due.popleft(), now_ns)

    def _arrive(self, at_ns: int) -> None:
        while self._free:
            session = self._free.popleft()
            if not session.done():
                session.set_result(at_ns)
                return
        self._due.append(at_ns)

    async def _next(self) -> int:
        if self._due:
            return self._due.popleft()
        free: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._free.append(free)
        return await free

    async def _session(self, let_in_s: float) -> None:
        wire: Wire | None = None
        refused_since_ns: int | None = None
        try:
            while True:
                intended_ns = await self._next()
                self._pace.asked(SOURCE)
                try:
                    if wire is None or wire.closed:
                        async with self._connecting:
                            await self._pace.tick(CONNECT_S, CONNECT_S)
                        wire = await Wire.open(self._address, self._login, "chaosbench-canary", let_in_s)
                        refused_since_ns = None
                    await wire.ask(_SQL, _TIMEOUT_S)
                except QueryError as error:
                    now_ns = self._clock.now()
                    self._bad(intended_ns, now_ns)
                    refused_since_ns = refused_since_ns or now_ns
                    if wire is not None and not (isinstance(error, Refused) and now_ns - refused_since_ns < _RENEW_NS):
                        wire.close()
                else:
                    refused_since_ns = None
                    self._ok(intended_ns, self._clock.now())
        finally:
            if wire is not None:
                wire.close()

    def _ok(self, intended_ns: int, done_ns: int) -> None:
        for outage in self._outages:
            outage.ack(intended_ns, done_ns)

    def _bad(self, intended_ns: int, done_ns: int) -> None:
        for outage in self._outages:
            outage.bad(intended_ns, done_ns)
