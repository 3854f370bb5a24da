"""Faults of PostgreSQL, Patroni and Pgpool, and commands of one's own, against the fake cluster."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from chaosbench.clock import Clock
from chaosbench.cluster.fake import FakeCluster
from chaosbench.errors import FaultError, HealError, InjectionError
from chaosbench.injectors import dynamic, hostcommand
from chaosbench.injectors.exec import Exec
from chaosbench.injectors.healing import Patience, heal
from chaosbench.injectors.injection import Hands, injected
from chaosbench.injectors.long_lock import LongLock
from chaosbench.injectors.patroni_config import PatroniConfig
from chaosbench.injectors.patroni_pause import PatroniPause
from chaosbench.injectors.patroni_restart import PatroniRestart
from chaosbench.injectors.pgpool_detach import PgpoolDetach
from chaosbench.injectors.reinitialise import Reinitialise
from chaosbench.injectors.terminate_backends import TerminateBackends
from chaosbench.model.cluster import Executed, RunState

pytestmark = pytest.mark.asyncio

NOW: dict[str, Any] = {"ttl": 20, "failsafe_mode": False, "postgresql": {"use_slots": True, "parameters": {"a": 1}}}


class Dcs:
    """Patroni's side of the dynamic configuration."""

    def __init__(self, cluster: FakeCluster) -> None:
        self.config = json.loads(json.dumps(NOW))
        self.silent: set[str] = set()
        cluster.patroni_answer = self.answer

    def answer(self, name: str, method: str, path: str, body: Any) -> tuple[int, str]:
        if name in self.silent:
            raise FaultError(f"Patroni of {name} is not reachable")
        if path == "/patroni":
            return 200, json.dumps({"pause": True} if self.config.get("pause") else {})
        if method == "PATCH":
            merge(self.config, body)
        return 200, json.dumps(self.config)


def merge(config: dict[str, Any], patch: dict[str, Any]) -> None:
    for key, value in patch.items():
        if value is None:
            config.pop(key, None)
        elif isinstance(value, dict) and isinstance(config.get(key), dict):
            merge(config[key], value)
        else:
            config[key] = value


@pytest.mark.parametrize(
    "settings",
    [
        {"failsafe_mode": True},
        {"ttl": 30, "check_timeline": True},
        {"postgresql": {"parameters": {"a": 2, "b": 3}, "use_slots": None}},
        {"slots": {"one": {"type": "physical"}}},
    ],
)
async def test_settings_come_back_key_by_key(settings: dict[str, Any]):
    cluster = FakeCluster(Clock())
    dcs, fault, member = Dcs(cluster), PatroniConfig(settings=settings), cluster.member("pg1")
    before = json.loads(json.dumps(await fault.look(cluster, member)))
    await fault.inject(cluster, member, before)
    assert dcs.config != NOW
    assert await fault.present(cluster, member, before) is True
    dcs.silent.add("pg1")  # then another member is asked
    await fault.heal(cluster, member, before)
    assert dcs.config == NOW
    assert await fault.present(cluster, member, before) is False


async def test_settings_that_are_so_already_are_refused():
    cluster = FakeCluster(Clock())
    Dcs(cluster)
    with pytest.raises(InjectionError, match="ttl is set so already"):
        await PatroniConfig(settings={"ttl": 20}).look(cluster, cluster.member("pg1"))


async def test_without_any_member_the_configuration_cannot_be_asked_for():
    cluster = FakeCluster(Clock())
    cluster.states.update(dict.fromkeys(("pg1", "pg2", "pg3"), RunState.EXITED))
    with pytest.raises(FaultError, match="no PostgreSQL member runs"):
        await dynamic.read(cluster, cluster.member("pg1"))


@pytest.mark.looptime
async def test_maintenance_mode_is_waited_for_and_its_key_is_absent_again():
    cluster = FakeCluster(Clock())
    dcs, fault, member = Dcs(cluster), PatroniPause(), cluster.member("pg1")
    before = await fault.look(cluster, member)
    await fault.inject(cluster, member, before)
    assert dcs.config["pause"] is True
    with pytest.raises(InjectionError, match="in maintenance mode already"):
        await fault.look(cluster, member)
    await fault.heal(cluster, member, before)
    assert dcs.config == NOW


@pytest.mark.parametrize("fault", [PatroniRestart(target="replica"), Reinitialise()])
async def test_patronis_refusal_is_told_in_its_words(fault: Any):
    cluster = FakeCluster(Clock())
    cluster.patroni_answer = lambda *_: (503, "I am the leader")
    with pytest.raises(InjectionError, match="Patroni answered 503: I am the leader"):
        await fault.inject(cluster, cluster.member("pg1"), {})


async def test_a_backend_is_detached_by_its_number_and_attached_only_when_it_is_down():
    status = {"pg1": "up", "pg2": "up", "pg3": "up"}

    def answer(name: str, command: tuple[str, ...]) -> Executed:
        verb = command[4]
        if verb == "pcp_node_info":
            return Executed(0, "".join(f"{host} 5432 2 0.3 {state} up standby\n" for host, state in status.items()))
        status[list(status)[int(command[6])]] = {"pcp_detach_node": "down", "pcp_attach_node": "up"}[verb]
        return Executed(0, "")

    cluster = FakeCluster(Clock())
    cluster.answer = answer
    fault, member = PgpoolDetach(), cluster.member("pgpool1")
    before = await fault.look(cluster, member)
    assert before == {"backend": "pg2", "number": 1}
    await fault.inject(cluster, member, before)
    assert status == {"pg1": "up", "pg2": "down", "pg3": "up"}
    with pytest.raises(InjectionError, match="has pg2 down already"):
        await fault.look(cluster, member)
    await fault.heal(cluster, member, before)
    await fault.heal(cluster, member, before)
    assert status == dict.fromkeys(status, "up")
    assert [command[4] for _, command in cluster.executed].count("pcp_attach_node") == 1
    with pytest.raises(InjectionError, match="no backend 'pg9'"):
        await PgpoolDetach(backend="pg9").look(cluster, member)


async def test_sessions_of_superusers_and_of_chaosbench_are_spared():
    cluster = FakeCluster(Clock())
    fault = TerminateBackends(user="o'hara", share="50%")
    await fault.inject(cluster, cluster.member("pg1"), {})
    statement = cluster.executed[0][1][-1]
    assert "NOT LIKE 'chaosbench-%'" in statement
    assert "rolsuper" in statement
    assert "usename = 'o''hara'" in statement
    assert "random() < 0.5" in statement
    await fault.heal(cluster, cluster.member("pg1"), {})
    assert len(cluster.executed) == 1, "what was done once leaves nothing to heal"
    with pytest.raises(ValidationError, match="write both 'interval' and 'hold'"):
        TerminateBackends(interval="1s")


async def test_a_lock_that_is_not_had_is_told_in_postgresqls_words():
    def answer(name: str, command: tuple[str, ...]) -> Executed:
        if command[0] == "tail":
            return Executed(0, "ERROR:  canceling statement due to lock timeout\n")
        return Executed(0, "f" if command[0] == "psql" else "0")

    cluster = FakeCluster(Clock())
    cluster.answer = answer
    with pytest.raises(InjectionError, match="long-lock on pg1: ERROR: canceling statement due to lock timeout"):
        await LongLock(table="t").inject(cluster, cluster.member("pg1"), {})
    with pytest.raises(ValidationError, match="match pattern"):
        LongLock(table="t; DROP TABLE t")


async def test_a_session_in_a_server_that_is_down_is_gone():
    cluster = FakeCluster(Clock())

    def answer(name: str, command: tuple[str, ...]) -> Executed:
        down = Executed(2, "psql: error: connection to server failed: No such file or directory")
        return down if command[0] == "psql" else Executed(0, "")

    cluster.answer = answer
    fault, member = LongLock(table="t"), cluster.member("pg1")
    assert await fault.present(cluster, member, {}) is False
    await fault.heal(cluster, member, {})
    cluster.answer = lambda name, command: Executed(1, "psql: error: out of memory")
    with pytest.raises(FaultError, match="out of memory"):
        await fault.present(cluster, member, {})


async def test_ones_own_command_knows_its_member_and_without_a_check_is_taken_for_there():
    cluster = FakeCluster(Clock())
    fault = Exec(target="etcd", run="echo $CHAOSBENCH_MEMBER", undo=["true"], hold="5s")
    member = cluster.member("etcd1")
    async with injected("own", fault, [member], Hands(cluster, Clock())) as injection:
        assert await fault.present(cluster, member, {}) is None
    assert injection.healed_ns is not None
    assert injection.lost_ns is None
    assert [command[4:] for _, command in cluster.executed] == [("sh", "-c", "echo $CHAOSBENCH_MEMBER"), ("true",)]
    assert cluster.executed[0][1][1:4] == (
        "CHAOSBENCH_MEMBER=etcd1",
        "CHAOSBENCH_CONTAINER=id-of-etcd1",
        "CHAOSBENCH_ROLE=etcd",
    )


@pytest.mark.parametrize(("code", "there"), [(0, True), (1, False)])
async def test_a_check_tells(code: int, there: bool):
    cluster = FakeCluster(Clock())
    cluster.answer = lambda name, command: Executed(code, "")
    fault = Exec(target="etcd", run="true", undo="true", check="look")
    assert await fault.present(cluster, cluster.member("etcd1"), {}) is there


async def test_an_undo_that_fails_ends_with_a_command_to_paste():
    fault = Exec(target="etcd", where="host", run="true", undo="echo broken; exit 4")
    cluster = FakeCluster(Clock())
    patience = Patience(tries=2, pause=0)
    with pytest.raises(HealError, match=r"'undo' ended with 4: broken; to heal by hand: env CHAOSBENCH_MEMBER=etcd1"):
        await heal(fault, cluster.member("etcd1"), {}, cluster, Clock(), patience)


async def test_a_command_on_this_machine_is_killed_with_what_it_started(tmp_path: Path):
    pid = tmp_path / "pid"
    with pytest.raises(FaultError, match=r"sh did not end within 0\.5 s"):
        await hostcommand.run(["sh", "-c", f"sleep 60 & echo $! >{pid}; wait"], {}, 0.5)
    for _ in range(50):
        if not alive(int(pid.read_text())):
            break
        await asyncio.sleep(0.1)
    assert not alive(int(pid.read_text()))
    with pytest.raises(FaultError, match="no-such-command cannot be run: No such file"):
        await hostcommand.run(["no-such-command"], {}, 1)
    assert (await hostcommand.run(["sh", "-c", "echo $A; sleep 9 &"], {"A": "b"}, 5)).output == "b\n"


def alive(pid: int) -> bool:
    """Whether it runs; one that nobody has waited for yet does not."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False
