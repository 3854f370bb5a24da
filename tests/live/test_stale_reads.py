"""A replica that stops replaying for a known time: its reads, and only its reads, are found to be that old."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from conftest import sql
from runs import running, scenario

from chaosbench.cluster.docker import DockerCluster

pytestmark = pytest.mark.live

HELD_S = 3.0
BODY = """
duration: 10s
load:
  - {workload: stale-reads, rate: 300/s, connections: 24, registers: 4, read_ratio: 70%}
expect: {stale_rate: "<= 50%", stale_max: ">= 2s"}
"""


async def test_reads_from_a_replica_that_stands_still_are_as_old_as_it(
    cluster: DockerCluster, lab_directory: Path, tmp_path: Path
):
    snapshot = await cluster.snapshot()
    assert snapshot.leader is not None
    replica, other = snapshot.replicas
    with running(tmp_path, lab_directory, scenario(BODY, "stale")) as run:
        run.until("load: 10 s")
        await asyncio.sleep(2)
        asked = time.monotonic()
        try:
            sql(replica, "SELECT pg_wal_replay_pause()")
            stopped = time.monotonic()
            await asyncio.sleep(HELD_S)
            resumed = time.monotonic()
        finally:
            sql(replica, "SELECT pg_wal_replay_resume()")
        done = time.monotonic()
        assert run.ended() == 0, run.output
    found = run.summary()["consistency"]["stale_reads"]
    nodes = {node["node"]: node for node in found["nodes"]}
    print(found)
    assert set(nodes) == {snapshot.leader.name, replica.name, other.name}, "24 sessions reach every node"
    assert nodes[snapshot.leader.name]["stale"] == 0, "the leader has whatever it acknowledged"
    # 60 reads a second or more on each node, for three seconds.
    assert nodes[replica.name]["stale"] > 60 > nodes[other.name]["stale"]
    oldest_s = found["age_ms"]["max"] / 1000
    # Each register is written some 20 times a second; after it resumes, a replica replays what has gathered.
    assert resumed - stopped - 0.5 < oldest_s < done - asked + 0.5
    assert found["age_ms"]["p50"] / 1000 == pytest.approx((resumed - stopped) / 2, abs=0.7)
    assert sum(node["reads"] for node in found["nodes"]) == found["reads"]
