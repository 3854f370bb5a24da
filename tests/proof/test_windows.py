"""Proof 1: measured error windows are the true ones, to 10 ms, on real sockets with asyncpg and uvloop.

A proxy in this process does harm at known instants; arrivals are at known
instants too (50/s, evenly spaced, a connection for each). So it can be said
beforehand which operations cannot end ok, and when their clients know it. With
a time-out T, a deadline D, an answer that takes no time, and a fault from a to b:

| fault | who fails | and knows it at |
| --- | --- | --- |
| hole | due in [a, b - T): the answer comes at b, too late | due + T |
| hole, then reset | due in [a, b) | due + T, or b if that is sooner |
| delay by more than T | due in [a, b) | due + T |
| delay by less than T | nobody: there must be no window | |
| delay by d < T, then reset | due in [b - d, b): their answers are on the way | b |
| refuse (reset, and no new connection) | due in [a, back - D); back: the server serves this class again | due + D |

The true window is by definition from the due time of the first to the time at
which the last one knew. For connects the proxy is the witness: from its first
connection that came to nothing to the end of the last. For clients in a circle
too: from the first byte of a request that was given up in the dark, to the last
client's hanging up.

An operation whose two possible ends are less than 2 ms apart (its answer and
its time-out race) may end either way; the truth of an edge is then a range, of
one arrival's spacing at most. The tolerance is 10 ms. A monitor of this test's
own measures how late the loop was within 60 ms of each edge; only where 10 ms
are missed is the edge forgiven that much, and how often that was is printed.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
import uvloop
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from peers import Postgres, Proxy
from realtime import scheduled_first

from chaosbench.clock import NS, Clock
from chaosbench.engine.engine import Engine, without_gc_pauses
from chaosbench.engine.session import PostgresConnect
from chaosbench.ledger import Ledger
from chaosbench.model.cluster import Address, Login
from chaosbench.model.scenario import StreamSettings, Windows
from chaosbench.outcome import OpClass
from chaosbench.recorder.recorder import Recorder
from chaosbench.windows import Window
from chaosbench.workload import Context, LedgerWorkload, SelectOnly

pytestmark = pytest.mark.proof

MS = 1_000_000
TOLERANCE = 10 * MS
RACE = 2 * MS
NEAR = 60 * MS
RATE, TIMEOUT, DEADLINE, CONNECTIONS = 50, 0.25, 0.3, 40
T, D = int(TIMEOUT * NS), int(DEADLINE * NS)
QUIET, PAUSE = 0.3, 0.9
"""Seconds: what ends a window, and what lies between two faults."""
SHORT_DELAY, LONG_DELAY = 0.1, 0.4

STREAMS = {OpClass.READ: ("reader", SelectOnly()), OpClass.WRITE: ("writer", LedgerWorkload())}
Edge = tuple[int, int]
"""A true instant: the earliest and the latest that it can be."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What is done to the connections, and for how many seconds."""

    kind: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Done:
    """A fault as it was: from, to, in nanoseconds; ``cut`` is when the first connection was reset at its end."""

    kind: str
    a: int
    b: int
    cut: int


@dataclass(frozen=True, slots=True)
class Truth:
    """One true window; ``edges`` are its start and its end."""

    op_class: OpClass
    fault: Done
    edges: tuple[Edge, Edge]


@dataclass
class Observed:
    """What one run gave: the engine's windows, and everything that says what they should be."""

    recorder: Recorder
    proxy: Proxy
    server: Postgres
    begun_ns: int
    faults: list[Done] = field(default_factory=list)
    late: list[tuple[int, int]] = field(default_factory=list)

    def lateness(self, at_ns: int) -> int:
        """How late this process was around an instant, in all."""
        return sum(
            actual - planned for planned, actual in self.late if at_ns - NEAR <= actual and planned <= at_ns + NEAR
        )


async def _monitor(clock: Clock, late: list[tuple[int, int]]) -> None:
    """Notes whenever a sleep of 2 ms took more than 2 ms too long."""
    while True:
        planned = clock.now() + 2 * MS
        await asyncio.sleep(0.002)
        if clock.now() - planned > 2 * MS:
            late.append((planned, clock.now()))


@asynccontextmanager
async def _loaded(**stream: object) -> AsyncIterator[Observed]:
    """The real engine over the proxy."""
    clock = Clock()
    server = Postgres(clock.now)
    proxy = Proxy(clock.now, await server.start())
    recorder = Recorder(clock, Windows(quiet=f"{QUIET}s"), lambda event: None)
    engine = Engine(recorder, clock, "proof", lambda lag: None)
    address, login = Address("127.0.0.1", await proxy.start()), Login("u", "p", "d")
    context = Context(scale=1, ledger=Ledger(1))
    for name, workload in STREAMS.values():
        engine.add(name, StreamSettings(**stream), workload.start(context), PostgresConnect(address, login, name, 9.0))  # type: ignore[arg-type]
    observed = Observed(recorder, proxy, server, 0)
    monitor = asyncio.create_task(_monitor(clock, observed.late))
    try:
        async with without_gc_pauses(), engine.running():
            async with asyncio.timeout(20):
                await engine.connected()
            engine.begin()
            observed.begun_ns = clock.now()
            await asyncio.sleep(0.3)
            yield observed
        recorder.finish()
    finally:
        monitor.cancel()
        proxy.stop()
        server.stop()


async def _harm(observed: Observed, fault: Fault) -> None:
    """One fault, and its true instants."""
    proxy, now = observed.proxy, observed.proxy.now
    a = now()
    if fault.kind in ("hole", "hole_reset"):
        proxy.black_hole()
    elif fault.kind == "refuse":
        proxy.refusing = True
        proxy.reset_all()
    else:
        proxy.delay = LONG_DELAY if fault.kind == "long_delay" else SHORT_DELAY
    await asyncio.sleep(fault.seconds)
    cut = now()
    proxy.delay, proxy.refusing = 0.0, False
    if fault.kind in ("hole_reset", "cut"):
        await proxy.reset_busy()
    b = now()
    if fault.kind in ("hole", "hole_reset"):
        proxy.let_go()
    observed.faults.append(Done(fault.kind, a, b, cut))


def _run(faults: Sequence[Fault], **stream: object) -> Observed:
    async def main() -> Observed:
        async with _loaded(**stream) as observed:
            for fault in faults:
                await _harm(observed, fault)
                await asyncio.sleep(PAUSE)
        return observed

    with scheduled_first(), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main())


def _ends(fault: Done, due: int, back: int) -> tuple[bool, int, int]:
    """Of the operation due then: whether it fails, when it knows, and how far it is from ending otherwise."""
    a, b = fault.a, fault.b
    match fault.kind:
        case "hole":
            return a <= due < b - T, due + T, min(abs(due - a), abs(b - T - due))
        case "hole_reset":
            return a <= due < b, min(due + T, b), min(abs(due - a), abs(due - b))
        case "long_delay":
            return a <= due < b, due + T, min(abs(due - a), abs(due - b))
        case "cut":
            # Resetting them takes a few milliseconds, in which the oldest may still be answered, and new ones come.
            first, d = fault.cut, int(SHORT_DELAY * NS)
            unsure = first - d <= due <= b - d or first <= due <= b
            return first - d <= due < first, b, 0 if unsure else min(abs(due - at) for at in (first - d, b - d, first))
        case "refuse":
            # One under way when the connections were reset knows it at once, and there may be one.
            return a <= due < back - D, due + D if due >= a else a, min(abs(due - a), abs(back - D - due))
    return False, 0, NS


def _truths(observed: Observed) -> Iterator[Truth]:
    """By the table above."""
    step = NS // RATE
    for fault in observed.faults:
        first, last = ((at - observed.begun_ns) // step for at in (fault.a, fault.b))
        dues = [observed.begun_ns + n * step for n in range(first - 20, last + 60)]
        for op_class, (name, _) in STREAMS.items():
            back = next(at for at, application in observed.server.executed if application == name and at >= fault.b)
            race = RACE + observed.lateness(fault.a) + observed.lateness(fault.b)
            ends = [(due, *_ends(fault, due, back)) for due in dues]
            certain = [(due, known) for due, fails, known, margin in ends if fails and margin >= RACE]
            possible = [(due, known) for due, fails, known, margin in ends if fails or margin < race]
            if certain:
                starts = min(due for due, _ in possible), min(due for due, _ in certain)
                knows = max(known for _, known in certain), max(known for _, known in possible)
                yield Truth(op_class, fault, (starts, knows))
        connects = [
            pair for pair in observed.proxy.failed_connects if fault.a <= pair[0] and pair[1] <= fault.b + NS // 5
        ]
        if connects:
            yield Truth(OpClass.CONNECT, fault, _witnessed(connects))


def _witnessed(pairs: Sequence[tuple[int, int]]) -> tuple[Edge, Edge]:
    start, end = min(start for start, _ in pairs), max(end for _, end in pairs)
    return (start, start), (end, end)


@dataclass
class Score:
    """How far off the windows were: all edges, and those that needed the machine's lateness as an excuse."""

    errors: list[int] = field(default_factory=list)
    excused: list[tuple[int, int]] = field(default_factory=list)

    def edge(self, name: str, measured: int, true: Edge, lateness: int) -> None:
        error = max(true[0] - measured, measured - true[1], 0)
        self.errors.append(error)
        if error > TOLERANCE:
            self.excused.append((error, lateness))
        assert error <= TOLERANCE or error <= TOLERANCE + lateness, (
            f"{name}: {error / MS:.1f} ms off, and the loop was late by {lateness / MS:.1f} ms only"
        )

    def __str__(self) -> str:
        ranked = sorted(self.errors)
        return (
            f"{len(ranked)} edges: median {ranked[len(ranked) // 2] / MS:.2f} ms, worst {ranked[-1] / MS:.2f} ms off; "
            f"{len(self.excused)} excused {[(round(e / MS, 1), round(late / MS, 1)) for e, late in self.excused]}"
        )


def _compare(observed: Observed, truths: Sequence[Truth]) -> Score:
    """Every true window was measured, no other was, and every edge is where it should be."""
    score = Score()
    windows = list(observed.recorder.windows())
    for truth in truths:
        window = _nearest(windows, truth)
        windows.remove(window)
        name = f"{truth.op_class} {truth.fault.kind}"
        score.edge(f"{name} start", window.start_ns, truth.edges[0], observed.lateness(truth.edges[0][1]))
        score.edge(f"{name} end", window.end_ns, truth.edges[1], observed.lateness(truth.edges[1][0]))
    assert not windows, f"windows that nothing explains: {windows}"
    return score


def _nearest(windows: Sequence[Window], truth: Truth) -> Window:
    of_class = [window for window in windows if window.op_class is truth.op_class]
    assert of_class, f"no window for {truth}"
    return min(of_class, key=lambda window: abs(window.start_ns - truth.edges[0][1]))


OPEN = {"rate": f"{RATE}/s", "connections": CONNECTIONS, "timeout": f"{TIMEOUT}s", "deadline": f"{DEADLINE}s"}
SCRIPTS = {
    "holes": [Fault("hole", 0.31), Fault("hole", 0.5), Fault("short_delay", 0.3), Fault("hole", 0.6)],
    "holes that end in a reset": [Fault("hole_reset", s) for s in (0.1, 0.3, 0.55)],
    "delays": [Fault("long_delay", 0.2), Fault("short_delay", 0.5), Fault("long_delay", 0.45), Fault("cut", 0.3)],
    "resets": [Fault("cut", 0.2), Fault("refuse", 0.5), Fault("cut", 0.35), Fault("refuse", 0.7)],
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripted_faults(script: str):
    observed = _run(SCRIPTS[script], **OPEN)
    truths = list(_truths(observed))
    harmful = [fault for fault in observed.faults if fault.kind != "short_delay"]
    assert {truth.fault for truth in truths} == set(harmful), "every fault that harms has a true window"
    print(f"{script}: {len(truths)} windows, {_compare(observed, truths)}")


FAULTS = st.builds(
    Fault,
    st.sampled_from(["hole", "hole_reset", "long_delay", "short_delay", "cut", "refuse"]),
    st.floats(0.32, 0.6),
)


@given(faults=st.lists(FAULTS, min_size=3, max_size=3))
@settings(max_examples=4, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
def test_any_schedule(faults: list[Fault]):
    observed = _run(faults, **OPEN)
    truths = list(_truths(observed))
    print(f"{[fault.kind for fault in faults]}: {len(truths)} windows, {_compare(observed, truths)}")


def test_clients_in_a_circle():
    """What the proxy saw: requests that it held until their clients hung up."""
    rng = random.Random(7)
    lengths = [rng.uniform(0.3, 0.5) for _ in range(3)]
    observed = _run([Fault("hole", s) for s in lengths], clients=3, think="7ms", timeout=f"{TIMEOUT}s")
    score = Score()
    windows = observed.recorder.windows()
    for fault in observed.faults:
        given_up = [pair for pair in observed.proxy.given_up if fault.a <= pair[1] <= fault.b]
        start, end = _witnessed(given_up)
        hit = [window for window in windows if fault.a - NS // 10 <= window.start_ns <= fault.b]
        assert {window.op_class for window in hit} == set(STREAMS)
        score.edge("start", min(window.start_ns for window in hit), start, observed.lateness(start[0]))
        score.edge("end", max(window.end_ns for window in hit), end, observed.lateness(end[0]))
    assert len(windows) == 2 * len(lengths)
    print(f"clients in a circle: {score}")
