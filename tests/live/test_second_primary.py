"""A second primary made by hand, behind Patroni's back, is told by a running chaosbench. The cluster is mended."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from chaosbench.clock import Clock
from chaosbench.cluster.docker import DockerCluster
from chaosbench.cluster.health import await_healthy
from chaosbench.errors import ClusterUnavailable
from tests.live.conftest import docker, sql
from tests.live.runs import running, scenario

pytestmark = pytest.mark.live

CONFIGURATION = "/etc/patroni-chaosbench.json"
BODY = """
duration: 14s
load:
  - {workload: ledger, rate: 100/s, connections: 8}
expect: {double_primary: ">= 1"}
"""


@pytest_asyncio.fixture
async def mended(cluster: DockerCluster) -> AsyncIterator[DockerCluster]:
    """Patroni demotes and rewinds by itself; a member that stays behind is copied anew."""
    yield cluster
    try:
        await await_healthy(cluster, Clock(), 45)
    except ClusterUnavailable:
        snapshot = await cluster.snapshot()
        for member in snapshot.replicas:
            if not snapshot.nodes[member.name].streaming:
                words = ("patronictl", "-c", CONFIGURATION, "reinit", "chaosbench", member.name, "--force")
                docker("exec", "-u", "postgres", member.container_id, *words)
        await await_healthy(cluster, Clock(), 90)


async def test_a_second_primary_is_reported(mended: DockerCluster, lab_directory: Path, tmp_path: Path):
    snapshot = await mended.snapshot()
    assert snapshot.leader is not None
    leader, replica = snapshot.leader, snapshot.replicas[-1]
    with running(tmp_path, lab_directory, scenario(BODY, "two")) as run:
        run.until("warm-up")
        assert sql(replica, "SELECT pg_promote()") == "t"
        assert sql(leader, "SELECT pg_is_in_recovery()") == "f", "so there are two now"
        run.until("two primaries at once")
        code = run.ended()
    summary = run.summary()
    (warning,) = (text for text in summary["warnings"] if "out of recovery" in text)
    assert leader.name in warning
    assert replica.name in warning
    episode = summary["consistency"]["double_primary"][0]
    assert episode["nodes"] == sorted([leader.name, replica.name])
    assert episode["to_s"] - episode["from_s"] < 14
    no_client_was_sent_there(summary, leader.name)
    assert code == 0, run.output


def no_client_was_sent_there(summary: dict[str, Any], leader: str) -> None:
    """Patroni demotes the second one in a few seconds; until then it writes a timeline of its own, which will be lost.

    It does not hold the leader key, so the lab's Pgpool is not told to follow it.
    """
    print(json.dumps(summary["consistency"]), json.dumps(summary["ledger"]["losses"]))
    assert {served["node"] for served in summary["consistency"]["served"]} == {leader}
    assert summary["consistency"]["split_brain"] == []
    assert summary["ledger"]["lost"] == 0
