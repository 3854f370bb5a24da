"""Proof 2: a server that stalls 2 s within 10 s at 1,000/s. Response times say so, service times would have hidden it.

The real engine on virtual time, against a server with 100 ms latency, through
400 connections: at most 4,000/s. From 4 s to 6 s it answers nothing. What every
client must feel can be worked out by hand.

- 1,000/s x 0.1 s = 100 operations are under way when it stalls; they end in time (the stall holds back what begins in
  it). 400 operations are then held by it, and their service time is what is left of the stall.
- The arrival due u seconds after the stall began is number 1,000 u in the line. 400 of the line are under way, and end
  100 ms after the stall; the next 400 after another 100 ms: number n ends 0.1 (1 + floor(n / 400)) s after the stall.
- So its response time is 2 + 0.1 (1 + floor(2.5 u)) - u: from 2.1 s down to the usual 0.1 s.

Of 10,000 operations over 2,500 feel the stall, but it holds back only 400: of service times a 99th percentile would
see some of it, and the 95th nothing.
"""

from __future__ import annotations

import asyncio
import math

import pytest
from fakes import READ, FakeServer, FakeWorkload, in_virtual_time

from chaosbench.clock import NS, Clock, loop_clock
from chaosbench.engine.engine import Engine
from chaosbench.histogram import Histogram, merged
from chaosbench.model.scenario import StreamSettings, Windows
from chaosbench.recorder.recorder import Recorder

RATE, SECONDS, LATENCY, CONNECTIONS = 1000, 10, 0.1, 400
STALL, STALL_END = 4.0, 6.0
PERCENTS = (10, 50, 70, 75, 80, 85, 90, 95, 99, 99.5, 99.9)
# Percentiles of response time; 70 is the last that the stall leaves alone.


class Stalling(FakeServer):
    """Answers after its latency, but nothing that comes during the stall before the stall is over."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock, LATENCY)
        self.stall_ns = self.stall_end_ns = 0
        self.behaviour = self.stalls

    async def stalls(self) -> None:
        if self.stall_ns <= self.clock.now() < self.stall_end_ns:
            await self.clock.sleep_until(self.stall_end_ns)
        await self.clock.sleep(self.latency)


async def _stall(**stream: object) -> tuple[Histogram, Histogram]:
    clock = loop_clock()
    server = Stalling(clock)
    recorder = Recorder(clock, Windows(), lambda event: None)
    engine = Engine(recorder, clock, "seed", lambda lag: None)
    engine.add("load", StreamSettings(timeout="9s", **stream), FakeWorkload((READ,)), server.connect)  # type: ignore[arg-type]
    async with engine.running():
        await engine.connected()
        engine.begin()
        server.stall_ns = clock.now() + int(STALL * NS)
        server.stall_end_ns = clock.now() + int(STALL_END * NS)
        await asyncio.sleep(SECONDS - 0.0005)
    tallies = tuple(recorder.operations())
    return merged(t.response for t in tallies), merged(t.service for t in tallies)


def analytic() -> list[float]:
    """The response time of each of the 10,000 operations, sorted, in seconds."""
    times = []
    for number in range(RATE * SECONDS):
        u = number / RATE - STALL
        if u < 0:
            times.append(LATENCY)
            continue
        batch = math.floor(u * RATE / CONNECTIONS)
        waited = (STALL_END - STALL) + LATENCY * batch - u
        times.append(max(0.0, waited) + LATENCY)
    return sorted(times)


def percentile(ranked: list[float], percent: float) -> float:
    """By HdrHistogram's rank rule."""
    return ranked[max(1, int(percent * len(ranked) / 100 + 0.5)) - 1]


@pytest.fixture(scope="module")
def stalled() -> tuple[Histogram, Histogram]:
    return in_virtual_time(_stall(rate=f"{RATE}/s", connections=CONNECTIONS, backlog=100_000, deadline="60s"))


def test_response_times_are_the_analytic_ones(stalled: tuple[Histogram, Histogram]):
    response, _ = stalled
    assert response.total == RATE * SECONDS
    ranked = analytic()
    for percent, measured in zip(PERCENTS, response.percentiles_ms(PERCENTS), strict=True):
        expected = percentile(ranked, percent) * 1000
        print(f"p{percent}: {measured:.1f} ms, analytic {expected:.1f} ms ({measured / expected - 1:+.2%})")
        assert measured == pytest.approx(expected, rel=0.02), f"p{percent}"
    assert response.max_us / 1e6 == pytest.approx(ranked[-1], rel=0.02)
    assert response.sum_us / response.total / 1e6 == pytest.approx(sum(ranked) / len(ranked), rel=0.02)


def test_service_time_alone_would_have_hidden_it(stalled: tuple[Histogram, Histogram]):
    response, service = stalled
    (service_p95,) = service.percentiles_ms((95,))
    (response_p95,) = response.percentiles_ms((95,))
    assert service_p95 == pytest.approx(LATENCY * 1000, rel=0.02), "as if nothing had been"
    assert response_p95 == pytest.approx(1700, rel=0.02)
    # Whoever waited was over a quarter of all; service time knows of those 400 only whom the server had in its hands.
    slow = sum(1 for time in analytic() if time > 2 * LATENCY)
    assert _above(response, 2 * LATENCY) == pytest.approx(slow, rel=0.02)
    assert slow > 2000
    assert _above(service, 2 * LATENCY) <= CONNECTIONS


def test_clients_in_a_circle_omit_it_and_so_would_any_closed_loop():
    """The classic trap: 100 clients that wait for their answers send nothing while the server stalls."""
    response, _ = in_virtual_time(_stall(clients=100))
    assert response.percentiles_ms((95,))[0] == pytest.approx(LATENCY * 1000, rel=0.02)
    assert _above(response, 2 * LATENCY) <= 100


def _above(histogram: Histogram, seconds: float) -> int:
    limit = Histogram()
    limit.record(int(seconds * 1e6))
    return sum(histogram.counts[limit.counts.index(1) + 1 :])
