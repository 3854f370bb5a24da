"""Faults through Patroni and Pgpool, and commands of one's own: seen by another path, and undone to the letter."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from chaosbench.cluster.docker import DockerCluster
from chaosbench.cluster.health import await_healthy
from chaosbench.errors import InjectionError
from chaosbench.injectors.exec import Exec
from chaosbench.injectors.patroni_config import PatroniConfig
from chaosbench.injectors.patroni_pause import PatroniPause
from chaosbench.injectors.patroni_restart import PatroniRestart
from chaosbench.injectors.pgpool_detach import PgpoolDetach
from chaosbench.injectors.reinitialise import Reinitialise
from chaosbench.model.cluster import Member
from tests.live.conftest import docker, sql
from tests.live.faulting import CLOCK, hitting, target_of

pytestmark = [pytest.mark.live, pytest.mark.asyncio]


def patroni(member: Member, path: str) -> Any:
    with urlopen(f"http://{docker('port', member.container_id, '8008')}{path}", timeout=10) as response:
        return json.load(response)


async def test_settings_are_changed_and_put_back(cluster: DockerCluster):
    settings = {"failsafe_mode": True, "synchronous_mode": True, "check_timeline": True, "ttl": 25}
    settings["postgresql"] = {"parameters": {"work_mem": "5MB"}}
    fault = PatroniConfig(settings=settings)
    member = await target_of(fault, cluster)
    before = patroni(member, "/config")
    async with hitting(fault, cluster, member):
        now = patroni(member, "/config")
        assert {key: now[key] for key in ("failsafe_mode", "synchronous_mode", "check_timeline", "ttl")} == {
            key: settings[key] for key in ("failsafe_mode", "synchronous_mode", "check_timeline", "ttl")
        }
        assert now["postgresql"]["parameters"]["work_mem"] == "5MB"
        assert now["postgresql"]["use_pg_rewind"] == before["postgresql"]["use_pg_rewind"]
    assert patroni(member, "/config") == before
    with pytest.raises(InjectionError, match="set so already"):
        async with hitting(PatroniConfig(settings={"ttl": before["ttl"]}), cluster, member):
            pytest.fail("the block must not run")


async def test_maintenance_mode_comes_and_goes(cluster: DockerCluster):
    fault = PatroniPause()
    member = await target_of(fault, cluster)
    before = patroni(member, "/config")
    async with hitting(fault, cluster, member):
        assert patroni(member, "/patroni")["pause"] is True
    assert patroni(member, "/config") == before
    assert "pause" not in patroni(member, "/patroni")


async def test_postgresql_is_restarted_and_leads_on(cluster: DockerCluster):
    fault = PatroniRestart(target="replica")
    member = await target_of(fault, cluster)
    began = sql(member, "SELECT pg_postmaster_start_time()")
    container = docker("inspect", "--format", "{{.State.StartedAt}}", member.container_id)
    async with hitting(fault, cluster, member):
        pass
    assert sql(member, "SELECT pg_postmaster_start_time()") > began
    assert docker("inspect", "--format", "{{.State.StartedAt}}", member.container_id) == container
    await await_healthy(cluster, CLOCK, 60)


async def test_a_replica_is_copied_anew(cluster: DockerCluster):
    fault = Reinitialise()
    member = await target_of(fault, cluster)
    inode = ["exec", member.container_id, "stat", "-c", "%i-%W", "/data/pgdata/PG_VERSION"]
    before = docker(*inode)
    async with hitting(fault, cluster, member):
        deadline = time.monotonic() + 30
        while not (state := patroni_state(member)) or state == "streaming":
            assert time.monotonic() < deadline, "it streams on"
            await asyncio.sleep(0.05)
    await await_healthy(cluster, CLOCK, 90)
    assert docker(*inode) != before
    leader = (await await_healthy(cluster, CLOCK, 60)).leaders[0]
    with pytest.raises(InjectionError, match="Patroni answered 503"):
        async with hitting(fault, cluster, leader):
            pytest.fail("the block must not run")


def patroni_state(member: Member) -> str:
    """Whether it streams, or in what state it is instead."""
    told = patroni(member, "/patroni")
    return str(told.get("replication_state", told["state"]))


async def test_a_backend_is_detached_and_the_reconciler_attaches_it(cluster: DockerCluster):
    fault = PgpoolDetach(hold="30s")
    member = await target_of(fault, cluster)
    async with hitting(fault, cluster, member):
        log = docker("logs", "--since", "60s", member.container_id)
        deadline = time.monotonic() + 30
        while "down" not in statuses(member):
            log = docker("logs", "--since", "60s", member.container_id)
            if "attach node" in log:
                break  # the reconciler was quicker than this test
            assert time.monotonic() < deadline, "nothing was detached"
            await asyncio.sleep(0.05)
        assert log is not None
    await await_healthy(cluster, CLOCK, 60)
    assert "down" not in statuses(member)


async def test_a_backend_stays_out_without_a_reconciler_and_is_attached(cluster: DockerCluster):
    fault = PgpoolDetach(backend="leader", hold="30s")
    member = await target_of(fault, cluster)
    reconciler = ["docker", "exec", member.container_id, "pkill", "-f", "follow_patroni.py"]
    docker(*reconciler[1:4], "-STOP", *reconciler[4:])
    try:
        async with hitting(fault, cluster, member):
            assert statuses(member).count("down") == 1
            await asyncio.sleep(3)
            assert statuses(member).count("down") == 1
        assert statuses(member).count("down") == 0
    finally:
        docker(*reconciler[1:4], "-CONT", *reconciler[4:])
    await await_healthy(cluster, CLOCK, 60)


def statuses(member: Member) -> list[str]:
    """Each backend's state, from the file that Pgpool keeps of them."""
    return docker("exec", member.container_id, "cat", "/run/pgpool/pgpool_status").split()


async def test_commands_of_ones_own_in_a_member(cluster: DockerCluster):
    file = "/tmp/own-fault"
    fault = Exec(
        target="etcd",
        run=f'echo "$CHAOSBENCH_MEMBER $CHAOSBENCH_ROLE" >{file}',
        undo=("rm", "-f", file),
        check=("test", "-e", file),
    )
    async with hitting(fault, cluster) as member:
        assert docker("exec", member.container_id, "cat", file) == "etcd1 etcd"
    assert "own-fault" not in docker("exec", member.container_id, "ls", "/tmp")


async def test_commands_of_ones_own_on_the_host(cluster: DockerCluster, tmp_path: Path):
    file = tmp_path / "own-fault"
    fault = Exec(target="etcd", where="host", run=f'echo "$CHAOSBENCH_CONTAINER" >{file}', undo=("rm", "-f", str(file)))
    async with hitting(fault, cluster) as member:
        assert file.read_text().strip() == member.container_id
    assert not file.exists()
    with pytest.raises(InjectionError, match="'run' ended with 3: no good"):
        async with hitting(Exec(target="etcd", where="host", run="echo no good; exit 3", undo="true"), cluster):
            pytest.fail("the block must not run")
