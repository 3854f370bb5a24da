"""A replica that stops replaying for a known time: its reads, and only its reads, are found to be that old."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from chaosbench.cluster.docker import DockerCluster
from chaosbench.model.cluster import Member
from tests.live.conftest import docker, sql
from tests.live.runs import running, scenario

pytestmark = pytest.mark.live

HELD_S = 3.0
BODY = """
duration: 10s
load:
  - {workload: stale-reads, rate: 300/s, connections: 24, registers: 4, read_ratio: 70%}
expect: {stale_rate: "<= 50%", stale_max: ">= 2s"}
"""


@contextmanager
def standing_still(replica: Member) -> Iterator[None]:
    """It replays nothing, and answers all the same.

    Its replaying process is stopped: pg_wal_replay_pause() will not do, since Patroni resumes within loop_wait.
    """
    pid = sql(replica, "SELECT pid FROM pg_stat_activity WHERE backend_type = 'startup'")
    inside = ("exec", "-u", "postgres", replica.container_id, "bash", "-c")
    try:
        docker(*inside, f"kill -STOP {pid}")
        yield
    finally:
        docker(*inside, f"kill -CONT {pid}")


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
        with standing_still(replica):
            stopped = time.monotonic()
            await asyncio.sleep(HELD_S)
            resumed = time.monotonic()
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
