"""Pgpool as its clients meet it: does it let one in, whom does it take for the primary, whom for up?

It is asked ``SHOW POOL_BACKEND_STATS``, over one session of its own. Measured
on the lab, a question costs Pgpool 0.4 ms of CPU and asks no backend, while
``SHOW POOL_NODES`` connects to every backend (4.2 ms, 27 ms until it answers,
and no answer at all while one of them is frozen) and ``SHOW
POOL_HEALTH_CHECK_STATS`` writes three lines into Pgpool's log each time.

Pgpool ends every session when it changes the primary. The next one is asked for
at the next tick, and what is stamped is when Pgpool lets a client in and would
route its writes there: not when it takes the decision, which is in its log and
helps nobody before its processes are there again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from chaosbench.clock import Clock
from chaosbench.model.cluster import Address, Login
from chaosbench.model.observation import ProxyChange, ProxyState
from chaosbench.observers.changes import Changes
from chaosbench.observers.pace import Pace
from chaosbench.observers.wire import Row, Wire
from chaosbench.postgres import QueryError

SOURCE = "proxy"
PERIOD_S = 0.01
_CONNECT_S = 2.0
_ANSWER_S = 1.0
_SQL = b"SHOW POOL_BACKEND_STATS"
_IN_USE = (b"up", b"waiting")


class Proxy:
    """Follows one Pgpool; :meth:`run` ends only when cancelled."""

    def __init__(
        self, address: Address, login: Login, clock: Clock, pace: Pace, heard: Callable[[ProxyChange], None]
    ) -> None:
        self._address = address
        self._login = login
        self._clock = clock
        self._pace = pace
        self._changes = Changes[ProxyState](lambda at, after, state: heard(ProxyChange(at, after, state)))

    async def run(self) -> None:
        """Ask until cancelled."""
        wire: Wire | None = None
        try:
            while True:
                asked_ns = self._clock.now()
                try:
                    self._pace.asked(SOURCE)
                    if wire is None:
                        wire = await Wire.open(self._address, self._login, "chaosbench-proxy", _CONNECT_S)
                        asked_ns = self._clock.now()
                        self._changes.still(asked_ns)  # nobody was let in while we waited to be
                    state = state_of(await wire.ask(_SQL, _ANSWER_S))
                except QueryError:
                    state = ProxyState()
                    if wire is not None:
                        wire.close()
                        wire = None
                self._changes.sample(state, asked_ns, self._clock.now())
                await self._pace.tick(PERIOD_S)
        finally:
            if wire is not None:
                wire.close()


def state_of(rows: Sequence[Row]) -> ProxyState:
    """Rows of ``SHOW POOL_BACKEND_STATS``: node, host name, port, status, role, and counts that are of no use here."""
    backends = [(str(row[1], "utf-8"), row[3], row[4]) for row in rows if row[1] is not None]
    return ProxyState(
        reachable=True,
        primary=next((host for host, _status, role in backends if role == b"primary"), None),
        up=frozenset(host for host, status, _role in backends if status in _IN_USE),
    )
