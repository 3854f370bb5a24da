"""Waiting for a whole cluster."""

from __future__ import annotations

import asyncio

import pytest

from chaosbench.clock import loop_clock
from chaosbench.cluster.fake import FakeCluster
from chaosbench.cluster.health import POLL_S, await_healthy
from chaosbench.errors import ClusterUnavailable
from chaosbench.model.cluster import Snapshot

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]


class Blinking(FakeCluster):
    """Healthy only where the pattern has an ``o``; the pattern's end stays."""

    def __init__(self, pattern: str) -> None:
        super().__init__(loop_clock())
        self.left = pattern
        self.looks = 0

    async def snapshot(self, patience: float = 1.0) -> Snapshot:
        self.looks += 1
        self.silent = set() if self.left[0] == "o" else {"pg2"}
        self.left = self.left[1:] or self.left
        return await super().snapshot()


async def test_a_healthy_cluster_is_seen_twice():
    cluster = Blinking("o")
    snapshot = await await_healthy(cluster, loop_clock(), 10)
    assert snapshot.problems() == ()
    assert cluster.looks == 2


async def test_one_clean_moment_between_two_problems_is_not_health():
    cluster = Blinking("xoxoo")
    await await_healthy(cluster, loop_clock(), 10)
    assert cluster.looks == 5


async def test_progress_is_told_when_it_changes_and_only_then():
    told: list[tuple[str, ...]] = []
    await await_healthy(Blinking("xxxoo"), loop_clock(), 10, told.append)
    assert told == [("pg2 does not stream (silent)",), ()]


async def test_the_timeout_lists_what_is_left():
    start = asyncio.get_running_loop().time()
    with pytest.raises(ClusterUnavailable, match=r"not healthy after 30 s: pg2 does not stream \(silent\)"):
        await await_healthy(Blinking("x"), loop_clock(), 30)
    assert asyncio.get_running_loop().time() - start == pytest.approx(30, abs=2 * POLL_S)


async def test_an_engine_that_is_gone_is_not_waited_for():
    class Gone(FakeCluster):
        async def snapshot(self, patience: float = 1.0) -> Snapshot:
            raise ClusterUnavailable("no answer from the Docker engine")

    with pytest.raises(ClusterUnavailable, match="no answer"):
        await await_healthy(Gone(loop_clock()), loop_clock(), 30)
    assert asyncio.get_running_loop().time() < 1
