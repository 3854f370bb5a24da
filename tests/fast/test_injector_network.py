"""Network faults on a fake cluster: which rules, that they go again, and what becomes of them when helpers die."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from chaosbench.clock import loop_clock
from chaosbench.cluster.fake import FakeCluster
from chaosbench.errors import FaultError, InjectionError
from chaosbench.injectors import Injector
from chaosbench.injectors.beside import MARGIN_S
from chaosbench.injectors.disconnect import Disconnect
from chaosbench.injectors.injection import Hands, injected
from chaosbench.injectors.netem import Netem
from chaosbench.injectors.packets import Cut
from chaosbench.injectors.partition import Partition
from chaosbench.injectors.rate import Rate
from chaosbench.injectors.reset import Reset
from chaosbench.model.cluster import Executed, RunState

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

NETWORK = "lab_default"
ADDRESSES = {"pg1": "10.0.0.1", "pg2": "10.0.0.2", "pg3": "10.0.0.3", "etcd1": "10.0.0.4", "pgpool1": "10.0.0.5"}
QDISCS = [{"kind": "noqueue", "handle": "0:", "dev": "lo"}, {"kind": "noqueue", "handle": "0:", "dev": "eth0"}]


class Bench:
    """A fake cluster whose members have addresses, and network namespaces with nothing in them."""

    def __init__(self) -> None:
        self.clock = loop_clock()
        self.cluster = FakeCluster(self.clock)
        self.cluster.answer = self.answer
        self.there: set[str] = set()
        self.applied = ""
        self.qdiscs: list[dict[str, str]] = QDISCS
        self.refusal = ""
        for name, address in ADDRESSES.items():
            endpoint = {"Aliases": [name, f"id-of-{name}"], "IPAddress": address, "IPAMConfig": None, "Links": None}
            self.cluster.inspections[name] = {
                "State": {"StartedAt": "monday"},
                "NetworkSettings": {"Networks": {NETWORK: endpoint}},
            }

    def answer(self, name: str, command: tuple[str, ...]) -> Executed:
        """As nft and tc would."""
        script = command[-1]
        if "-j qdisc show" in script:
            return Executed(0, json.dumps(self.qdiscs))
        mark = re.findall(r"(?:inet (\w+)|(?:handle |\" )(\w+:))", script)
        (found,) = {one or other for one, other in mark}
        if "exit 2" in script:
            return Executed(0 if found in self.there else 1, "")
        if "qdisc del " in script or "delete table" in script:
            self.there.discard(found)
            return Executed(0, "")
        if self.refusal:
            return Executed(1, self.refusal)
        self.applied = script
        self.there.add(found)
        return Executed(0, "")

    def injected(self, fault: Injector, name: str = "pg1"):
        return injected("the-fault", fault, [self.cluster.member(name)], Hands(self.cluster, self.clock))


FAULTS = [
    Partition(target="leader", peers="pg2"),
    Reset(target="leader", hold="5s"),
    Rate(target="leader", rate="1mbit"),
    Netem(target="leader", delay="100ms"),
]
each_fault = pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.kind)


@each_fault
async def test_there_while_it_is_held_and_gone_after(fault: Injector):
    bench = Bench()
    async with bench.injected(fault) as injection:
        assert len(bench.there) == 1
        (helper,) = bench.cluster.stations.values()
        assert helper[1].capabilities == ("NET_ADMIN", "NET_RAW")
        await bench.clock.sleep(3)
        assert injection.lost_ns is None
    assert bench.there == set()
    assert bench.cluster.stations == {}
    assert injection.healed_ns is not None


@each_fault
async def test_its_helper_can_undo_it_alone(fault: Injector):
    bench = Bench()
    async with bench.injected(fault):
        (helper,) = bench.cluster.stations.values()
        script = helper[1].command[-1]
        undo = script.partition("undo() {\n")[2].partition("\n}")[0]
        assert "trap 'undo; exit' TERM" in script
        assert undo
        bench.answer("pg1", ("sh", "-c", undo))
        assert bench.there == set(), "the helper undoes this very change"


TOOL = """#!/bin/sh
echo "$0 $*" >>"$0.log"
echo 'table inet TABLE'
echo 'qdisc x HANDLE root'
"""


@each_fault
@pytest.mark.parametrize("end", ["its time is over", "it is told to stop"])
async def test_its_helper_undoes_it_when_nobody_else_does(fault: Injector, end: str, tmp_path: Path):
    """The helper's own script, run for real with tools that only note what they are asked."""
    bench = Bench()
    async with bench.injected(fault) as injection:
        (helper,) = bench.cluster.stations.values()
        before = injection.hits[0].before
    mark = {"TABLE": f"chaosbench_{before['token']}", "HANDLE": str(before.get("handle"))}
    for name in ("nft", "tc"):
        text = TOOL
        for word, value in mark.items():
            text = text.replace(word, value)
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    run_to_its_end(helper[1].command, tmp_path, stop=end == "it is told to stop")
    (order,) = undone(tmp_path)
    assert mark["TABLE"] in order or f"handle {mark['HANDLE']}" in order


def run_to_its_end(command: tuple[str, ...], tools: Path, *, stop: bool) -> None:
    environment = {"PATH": f"{tools}:/usr/bin:/bin", "CHAOSBENCH_LIFETIME": "60" if stop else "0.2"}
    with subprocess.Popen(command, env=environment, start_new_session=True) as process:
        try:
            if stop:
                time.sleep(0.3)
                assert undone(tools) == [], "it stays for as long as it was told"
                process.terminate()
            process.wait(10)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # what it slept by is still there


def undone(directory: Path) -> list[str]:
    logs = sorted(directory.glob("*.log"))
    return [line for log in logs for line in log.read_text().splitlines() if " del" in line]


@each_fault
async def test_a_helper_that_was_killed_leaves_the_healing_to_another(fault: Injector):
    bench = Bench()
    async with bench.injected(fault) as injection:
        bench.cluster.stations.clear()
        await bench.clock.sleep(3)
        assert injection.lost_ns is None, "the change itself is looked at, not its helper"
    assert bench.there == set()


@each_fault
async def test_a_restart_takes_it_along(fault: Injector):
    bench = Bench()
    async with bench.injected(fault) as injection:
        bench.cluster.inspections["pg1"]["State"]["StartedAt"] = "tuesday"
        await bench.clock.sleep(3)
        assert injection.lost_ns is not None
    assert injection.healed_ns is not None
    assert bench.cluster.stations == {}


@each_fault
async def test_a_member_that_ended_has_nothing_left_to_undo(fault: Injector):
    bench = Bench()
    async with bench.injected(fault) as injection:
        bench.cluster.states["pg1"] = RunState.EXITED
        await bench.clock.sleep(1.5)
        assert injection.lost_ns is not None
    assert injection.healed_ns is not None


@each_fault
async def test_a_change_that_is_refused_is_told_in_the_tools_words(fault: Injector):
    bench = Bench()
    bench.refusal = "Error: Specified qdisc kind is unknown."
    with pytest.raises(InjectionError, match=r"the network of pg1 cannot be changed: Error: Specified qdisc kind"):
        async with bench.injected(fault):
            pytest.fail("the block must not run")
    assert bench.cluster.stations == {}


@each_fault
async def test_what_cannot_be_looked_at_is_not_called_gone(fault: Injector):
    bench = Bench()
    member = bench.cluster.member("pg1")
    before = await fault.look(bench.cluster, member)
    await fault.inject(bench.cluster, member, before)
    bench.cluster.answer = lambda name, command: Executed(2, "Operation not permitted")
    with pytest.raises(FaultError, match="cannot be looked at: Operation not permitted"):
        await fault.present(bench.cluster, member, before)
    with pytest.raises(FaultError, match="cannot be changed back: Operation not permitted"):
        await fault.heal(bench.cluster, member, before)


@each_fault
async def test_healing_twice_and_without_an_injection(fault: Injector):
    bench = Bench()
    member = bench.cluster.member("pg1")
    before = json.loads(json.dumps(await fault.look(bench.cluster, member)))  # as the journal keeps it
    await fault.heal(bench.cluster, member, before)
    await fault.inject(bench.cluster, member, before)
    await fault.heal(bench.cluster, member, before)
    await fault.heal(bench.cluster, member, before)
    assert bench.there == set()
    assert fault.remedy(member, before).startswith("docker run --rm --network container:id-of-pg1 --cap-add NET_ADMIN")


async def test_the_helper_outlives_the_hold_by_a_margin(monkeypatch: pytest.MonkeyPatch):
    bench, lifetimes = Bench(), []
    station = bench.cluster.station

    async def watched(member: Any, helper: Any, name: str, lifetime: float) -> None:
        lifetimes.append(lifetime)
        await station(member, helper, name, lifetime)

    monkeypatch.setattr(bench.cluster, "station", watched)
    async with bench.injected(Partition(target="leader", peers="pg2", hold="40s")):
        assert lifetimes == [40 + MARGIN_S]


def lines(**settings: Any) -> list[str]:
    """The rules of a cut, without the comment that each carries."""
    cut = Cut("t", "chaosbench: x", settings.pop("addresses", ("10.0.0.2",)), **settings)
    script = cut.change().apply
    rules = [line.strip() for line in script.splitlines() if line.startswith("    ") and "type filter" not in line]
    assert all(line.endswith(' comment "chaosbench: x"') for line in rules)
    hooks = re.findall(r"chain (\w+)", script)
    return [*hooks, *(line.removesuffix(' comment "chaosbench: x"') for line in rules)]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, ["input", "output", "ip saddr { 10.0.0.2 } drop", "ip daddr { 10.0.0.2 } drop"]),
        ({"direction": "in"}, ["input", "ip saddr { 10.0.0.2 } drop"]),
        ({"direction": "out"}, ["output", "ip daddr { 10.0.0.2 } drop"]),
        (
            {"direction": "in", "ports": (5432, 8008)},
            [
                "input",
                "ip saddr { 10.0.0.2 } tcp dport { 5432, 8008 } drop",
                "ip saddr { 10.0.0.2 } tcp sport { 5432, 8008 } drop",
            ],
        ),
        (
            {"direction": "out", "addresses": ("10.0.0.2", "10.0.0.3", "fd00::2")},
            ["output", "ip daddr { 10.0.0.2, 10.0.0.3 } drop", "ip6 daddr { fd00::2 } drop"],
        ),
        ({"direction": "in", "share": 0.25}, ["input", "ip saddr { 10.0.0.2 } numgen random mod 10000 < 2500 drop"]),
        (
            {"direction": "out", "addresses": (), "verdict": "reject with tcp reset"},
            ["output", 'oifname != "lo" tcp flags & rst == 0 reject with tcp reset'],
        ),
    ],
    ids=["both", "in", "out", "ports", "several and IPv6", "share", "reset everyone"],
)
async def test_rules(settings: dict[str, Any], expected: list[str]):
    assert lines(**settings) == expected


async def test_a_partition_knows_its_peers_by_role():
    bench = Bench()
    async with bench.injected(Partition(target="leader", peers="all replicas, etcd")) as injection:
        before = injection.hits[0].before
        assert before["peers"] == ["etcd1", "pg2", "pg3"]
        assert before["addresses"] == ["10.0.0.2", "10.0.0.3", "10.0.0.4"]
        assert "ip saddr { 10.0.0.2, 10.0.0.3, 10.0.0.4 } drop" in bench.applied


async def test_peers_without_an_address():
    bench = Bench()
    bench.cluster.inspections["pg2"]["NetworkSettings"]["Networks"] = {}
    with pytest.raises(InjectionError, match="pg2: no address on any network now"):
        async with bench.injected(Partition(target="leader", peers="pg2")):
            pytest.fail("the block must not run")


async def test_a_reset_destroys_what_is_open():
    bench = Bench()
    async with bench.injected(Reset(target="leader", peers="all replicas", ports=[5432])):
        assert (
            "ss --kill --tcp --no-header state connected "
            "'( dst 10.0.0.2 or dst 10.0.0.3 ) and ( sport = :5432 or dport = :5432 )'"
        ) in bench.applied
    async with bench.injected(Reset(target="leader")):
        assert "'not dst 127.0.0.0/8'" in bench.applied


async def test_a_discipline_that_somebody_chose_is_left_alone():
    bench = Bench()
    bench.qdiscs = [*QDISCS, {"kind": "htb", "handle": "1:", "dev": "eth1"}]
    with pytest.raises(InjectionError, match=r"eth1 of pg1 has a queueing discipline already \(htb 1:\)"):
        async with bench.injected(Rate(target="leader", rate="1mbit")):
            pytest.fail("the block must not run")
    bench.qdiscs = QDISCS[:1]
    with pytest.raises(InjectionError, match="pg1 has no network interface now"):
        async with bench.injected(Rate(target="leader", rate="1mbit")):
            pytest.fail("the block must not run")


async def test_every_interface_gets_the_discipline():
    bench = Bench()
    bench.qdiscs = [*QDISCS, {"kind": "noqueue", "handle": "0:", "dev": "eth1"}]
    async with bench.injected(Rate(target="leader", rate="10mbit", queue="20ms")) as injection:
        handle = injection.hits[0].before["handle"]
        assert bench.applied.splitlines() == [
            f"tc qdisc add dev {dev} root handle {handle} tbf rate 10000000bit burst 32768b latency 20000us || exit 1"
            for dev in ("eth0", "eth1")
        ]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"delay": "100ms"}, "netem delay 100000us"),
        ({"delay": "100ms", "delay_jitter": "20ms"}, "netem delay 100000us 20000us"),
        ({"loss": "1%"}, "netem loss 1.0000%"),
        (
            {"delay": "1ms", "loss": "0.5%", "duplicate": "2%", "corrupt": "0.1%"},
            "netem delay 1000us loss 0.5000% duplicate 2.0000% corrupt 0.1000%",
        ),
    ],
)
async def test_netem_in_tcs_words(settings: dict[str, str], words: str):
    bench = Bench()
    async with bench.injected(Netem(target="leader", **settings)):
        assert f"{words} ||" in bench.applied


async def test_settings_that_mean_nothing():
    with pytest.raises(ValidationError, match="netem changes nothing: write at least one of delay, loss"):
        Netem(target="leader")
    with pytest.raises(ValidationError, match="delay_jitter is around a delay"):
        Netem(target="leader", delay="1ms", delay_jitter="2ms")
    for rate in ("10", "10m", "0mbit", "fast"):
        with pytest.raises(ValidationError, match="write a number with kbit, mbit or gbit, as in 10mbit"):
            Rate(target="leader", rate=rate)
    with pytest.raises(ValidationError):
        Partition(target="leader", peers="pg2", ports=[0])
    with pytest.raises(ValidationError):
        Partition(target="leader", peers="pg2", share="0%")


def networks(bench: Bench) -> Any:
    return bench.cluster.inspections["pg2"]["NetworkSettings"]["Networks"]


async def test_a_member_is_put_back_with_its_names():
    bench = Bench()
    async with bench.injected(Disconnect(target="replica"), "pg2") as injection:
        assert networks(bench) == {}
        await bench.clock.sleep(3)
        assert injection.lost_ns is None
    assert networks(bench) == {NETWORK: {"Aliases": ["pg2"]}}, "Docker adds the container's id by itself"
    assert injection.healed_ns is not None


async def test_an_address_that_was_chosen_is_asked_for_again():
    bench = Bench()
    networks(bench)[NETWORK]["IPAMConfig"] = {"IPv4Address": "10.0.0.2"}
    fault, member = Disconnect(target="replica"), bench.cluster.member("pg2")
    async with bench.injected(fault, "pg2") as injection:
        remedy = fault.remedy(member, injection.hits[0].before)
        assert remedy == f"docker network connect --alias pg2 --ip 10.0.0.2 {NETWORK} id-of-pg2"
    assert networks(bench)[NETWORK]["IPAMConfig"] == {"IPv4Address": "10.0.0.2"}


async def test_an_endpoint_that_forgot_its_names_is_made_anew():
    bench = Bench()
    async with bench.injected(Disconnect(target="replica"), "pg2"):
        networks(bench)[NETWORK] = {"Aliases": ["id-of-pg2"]}  # as by a bare `docker network connect`
    assert networks(bench)[NETWORK]["Aliases"] == ["pg2"]


async def test_somebody_else_put_it_back():
    bench = Bench()
    async with bench.injected(Disconnect(target="replica"), "pg2") as injection:
        networks(bench)[NETWORK] = {"Aliases": ["pg2"]}
        await bench.clock.sleep(3)
        assert injection.lost_ns is not None
    assert [call for call in bench.cluster.calls if call[0] == "connect"] == []
