"""Processes inside a container: which a word means, and that nothing but those very processes is signalled."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from chaosbench.clock import loop_clock
from chaosbench.cluster.fake import FakeCluster
from chaosbench.errors import FaultError, InjectionError
from chaosbench.injectors.injection import Hands, injected
from chaosbench.injectors.processes import ACT, LIST, Process, find, listing, states
from chaosbench.injectors.signal import Signal
from chaosbench.model.cluster import Executed, RunState

POSTGRES = """\
1 0 10 S docker-init /sbin/docker-init -- python3 entrypoint.py
7 1 11 S patroni /usr/bin/python3 /usr/bin/patroni /etc/patroni-chaosbench.json
8 7 11 S python3 /usr/bin/python3 /usr/local/lib/chaosbench/rejoin.py /etc/patroni-chaosbench.json 20
20 1 12 S postgres /usr/lib/postgresql/17/bin/postgres -D /data/pgdata --cluster_name=chaosbench
21 20 13 S postgres postgres: chaosbench: checkpointer
22 20 13 S postgres postgres: chaosbench: startup recovering 0000001C000000000000000E
23 20 13 S postgres postgres: chaosbench: walreceiver streaming 0/EBB21C0
90 0 99 S timeout timeout -k 1 15 bash -c postgres
91 90 99 R bash bash -c postgres"""
PGPOOL = """\
1 0 10 S docker-init /sbin/docker-init -- python3 entrypoint.py
7 1 11 S python3 python3 /usr/local/lib/chaosbench/entrypoint.py
9 7 12 S pgpool pgpool -n -D
10 9 13 S pgpool pgpool: PCP: wait for connection request
11 9 13 S pgpool pgpool: worker process
12 9 13 S pgpool pgpool: wait for connection request
14 1 13 S pgpool pgpool: PCP: processing health check request
13 9 13 S pgpool pgpool: chaosbench chaosbench 172.20.0.1(4000) idle"""
ETCD = "1 0 10 S docker-init docker-init -- etcd\n7 1 11 S etcd etcd --name=etcd1"


def told(text: str) -> Executed:
    return Executed(0, "".join("\t".join(line.split(" ", 5)) + "\n" for line in text.splitlines()))


@pytest.mark.parametrize(
    ("word", "text", "pids"),
    [
        ("postmaster", POSTGRES, [20]),
        ("patroni", POSTGRES, [7]),
        ("walreceiver", POSTGRES, [23]),
        ("startup", POSTGRES, [22]),
        (r"rejoin\.py", POSTGRES, [8]),
        ("postgres: .*(checkpointer|startup)", POSTGRES, [21, 22]),
        ("walreceiver", PGPOOL, []),
        ("pgpool", PGPOOL, [9]),
        ("pgpool-child", PGPOOL, [13]),
        ("pgpool-child", PGPOOL.rsplit("\n", 1)[0], [12]),
        ("pgpool-child", ETCD, []),
        ("etcd", ETCD, [7]),
    ],
)
def test_what_a_word_means(word: str, text: str, pids: list[int]):
    assert [process.pid for process in find(word, listing(told(text)))] == pids


def test_what_was_sent_in_from_outside_is_not_listed():
    assert {process.name for process in listing(told(POSTGRES))} == {"docker-init", "patroni", "python3", "postgres"}


def test_a_listing_that_failed():
    with pytest.raises(FaultError, match="bash: not found"):
        listing(Executed(127, "bash: not found\n"))


@pytest.fixture
def sleeper() -> Iterator[Process]:
    """A process of the test's own, as the script lists it."""
    with subprocess.Popen(["sleep", "600"]) as process:
        output = subprocess.run(["bash", "-c", LIST], check=True, capture_output=True, text=True).stdout
        row = next(line.split("\t") for line in output.splitlines() if line.startswith(f"{process.pid}\t"))
        assert row[4:] == ["sleep", "sleep 600"]
        yield Process(process.pid, int(row[1]), int(row[2]), row[3], row[4], row[5])
        process.kill()


def act(*words: str) -> dict[str, str]:
    ended = subprocess.run(["bash", "-c", ACT, "chaosbench", *words], capture_output=True, text=True)
    return states(Executed(ended.returncode, ended.stdout + ended.stderr))


def kernel_state(process: Process) -> str:
    return Path(f"/proc/{process.pid}/stat").read_text().rsplit(") ", 1)[1][0]


def test_the_scripts_stop_a_process_and_let_it_go_on(sleeper: Process):
    assert act("STOP", sleeper.handle) == {sleeper.handle: "T"}
    assert kernel_state(sleeper) == "T"
    assert act("look", sleeper.handle) == {sleeper.handle: "T"}
    assert act("CONT", sleeper.handle)[sleeper.handle] in ("R", "S")
    assert kernel_state(sleeper) in ("R", "S")


def test_a_process_that_was_given_the_same_id_is_not_hit(sleeper: Process):
    earlier = f"{sleeper.pid}:{sleeper.started - 1}"
    assert act("KILL", earlier) == {earlier: "gone"}
    assert kernel_state(sleeper) in ("R", "S")


def test_one_that_is_gone_keeps_no_other_from_being_hit(sleeper: Process):
    assert act("KILL", "999999999:1", sleeper.handle)[sleeper.handle] in ("Z", "gone")


def test_a_shell_that_fell_with_its_container_has_done_its_work():
    assert states(Executed(137, "7:2902093 Z\n")) == {}, "what it printed holds no more"
    with pytest.raises(FaultError, match="cannot be signalled: kill: not permitted"):
        states(Executed(1, "kill: not permitted\n"))


class Inside:
    """What runs in the fake members, and which of it is stopped."""

    def __init__(self, text: str) -> None:
        self.cluster = FakeCluster(loop_clock())
        self.cluster.answer = self.answer
        self.text = text
        self.states: dict[str, str] = {}
        self.sent: list[tuple[str, ...]] = []

    def answer(self, name: str, command: tuple[str, ...]) -> Executed:
        if command[2] == LIST:
            return told(self.text)
        signal, handles = command[4], command[5:]
        if signal != "look":
            self.sent.append(command[4:])
            for handle in handles:
                if self.states.get(handle) != "gone":
                    self.states[handle] = {"STOP": "T", "KILL": "gone"}.get(signal, "S")
        return Executed(0, "".join(f"{handle} {self.states.get(handle, 'S')}\n" for handle in handles))


@pytest.mark.asyncio
@pytest.mark.looptime
async def test_stop_is_undone_on_the_same_processes():
    inside = Inside(POSTGRES)
    fault = Signal(target="replica", process="walreceiver", hold="5s")
    clock = loop_clock()
    async with injected("s", fault, [inside.cluster.member("pg2")], Hands(inside.cluster, clock)) as injection:
        inside.text = ETCD  # whatever runs by then
        await clock.sleep(3)
        assert injection.lost_ns is None
    assert inside.sent == [("STOP", "23:13"), ("CONT", "23:13")]
    assert injection.healed_ns is not None


@pytest.mark.asyncio
@pytest.mark.looptime
async def test_a_stopped_process_that_vanishes_is_a_lost_fault():
    inside = Inside(POSTGRES)
    fault = Signal(target="replica", process="postmaster", hold="5s")
    clock = loop_clock()
    async with injected("s", fault, [inside.cluster.member("pg2")], Hands(inside.cluster, clock)) as injection:
        inside.states["20:12"] = "gone"
        await clock.sleep(3)
        assert injection.lost_ns is not None
    assert inside.sent == [("STOP", "20:12")], "there was nobody to wake"


@pytest.mark.asyncio
async def test_look_refuses_what_cannot_work():
    inside = Inside(POSTGRES)
    member = inside.cluster.member("pg2")
    with pytest.raises(
        InjectionError, match="pg2 has no process 'etcd'; it has docker-init, patroni, postgres, python3"
    ):
        await Signal(target="replica", process="etcd").look(inside.cluster, member)
    with pytest.raises(InjectionError, match=r"the first process of pg2.*use kill or pause"):
        await Signal(target="replica", process="docker-init", signal="KILL").look(inside.cluster, member)
    inside.text = POSTGRES.replace("23 20 13 S", "23 20 13 T")
    with pytest.raises(InjectionError, match="process 23 of pg2 is stopped already"):
        await Signal(target="replica", process="walreceiver").look(inside.cluster, member)


@pytest.mark.asyncio
async def test_a_container_that_ended_has_nothing_to_wake():
    inside = Inside(POSTGRES)
    member = inside.cluster.member("pg2")
    fault = Signal(target="replica", process="postmaster")
    before = await fault.look(inside.cluster, member)
    inside.cluster.states["pg2"] = RunState.EXITED
    assert not await fault.present(inside.cluster, member, before)
    await fault.heal(inside.cluster, member, before)
    assert inside.sent == []
    assert fault.remedy(member, before) == "docker exec -u 0 id-of-pg2 bash -c 'kill -CONT 20'"


def test_only_stop_is_held():
    assert Signal(target="etcd", process="etcd").hold == 15.0
    assert Signal(target="etcd", process="etcd", signal="KILL").hold == 0.0
    with pytest.raises(ValidationError, match="signal KILL is over at once: leave 'hold' out"):
        Signal(target="etcd", process="etcd", signal="KILL", hold="5s")
    with pytest.raises(ValidationError, match="signal STOP is held: write a 'hold'"):
        Signal(target="etcd", process="etcd", hold=0)
    with pytest.raises(ValidationError, match="nor a pattern of a command line"):
        Signal(target="etcd", process="etcd(")
