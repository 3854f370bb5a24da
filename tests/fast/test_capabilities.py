"""What is lacking, in one line each; what was tried once is not tried again; the trials themselves, here."""

from __future__ import annotations

import pytest

from chaosbench.catalogue import _needs
from chaosbench.clock import loop_clock
from chaosbench.cluster.capabilities import Capabilities
from chaosbench.cluster.fake import FakeCluster
from chaosbench.errors import FaultError
from chaosbench.model.cluster import Executed, Helper
from chaosbench.model.faults import Need

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

WORKS = "helper\t\nnetem\t\ntbf\t\nsocket-destroy\t\nptrace\t\ncgroup-io\t\n"
LAB = {Need.OWN_DISK, Need.OWN_CLOCK, Need.SYNCHRONOUS, Need.QUORUM}


class Machine:
    """Helpers that run nothing."""

    def __init__(self, output: str = WORKS, error: FaultError | None = None) -> None:
        self.output, self.error = output, error
        self.tried: list[Helper] = []

    async def alone(self, helper: Helper, timeout: float) -> Executed:
        self.tried.append(helper)
        if self.error is not None:
            raise self.error
        return Executed(0, self.output)


def capabilities(machine: Machine, cluster: FakeCluster | None = None) -> Capabilities:
    return Capabilities(machine, cluster or FakeCluster(loop_clock()))  # type: ignore[arg-type]


@pytest.mark.parametrize("need", sorted(set(Need) - LAB))
async def test_a_machine_that_can(need: Need):
    assert await capabilities(Machine()).lacks(need) is None


async def test_a_machine_that_cannot_is_asked_once():
    machine = Machine(WORKS.replace("netem\t", "netem\tError: Specified qdisc kind is unknown.; "))
    asked = capabilities(machine)
    assert await asked.lacks(Need.NETEM) == (
        "this kernel has no network emulator (sch_netem): Error: Specified qdisc kind is unknown."
    )
    assert await asked.lacks(Need.TBF) is None
    assert len(machine.tried) == 1
    assert not machine.tried[0].network, "its namespaces are its own"


async def test_a_trial_that_broke_off_proves_nothing():
    asked = capabilities(Machine("helper\t\n"))
    assert await asked.lacks(Need.HELPER) is None
    assert "it was not tried" in str(await asked.lacks(Need.PTRACE))


async def test_no_image():
    asked = capabilities(Machine(error=FaultError("docker run x: No such image: chaosbench-tools:local")))
    lacking = await asked.lacks(Need.HELPER)
    assert lacking is not None
    assert "No such image" in lacking
    assert lacking.endswith("`chaosbench lab up` builds chaosbench-tools:local")


async def test_the_labs_half_is_asked_of_the_members():
    cluster = FakeCluster(loop_clock())
    asked = capabilities(Machine(), cluster)
    assert await asked.lacks(Need.OWN_DISK) is None
    assert [name for name, _ in cluster.executed] == ["pg1", "pg2", "pg3"]
    cluster.answer = lambda name, command: Executed(1 if name == "pg2" else 0, "")
    assert await asked.lacks(Need.OWN_DISK) == (
        "pg2: its data lie on the host's file system: put compose.smalldisk.yaml into the lab's COMPOSE_FILE"
    )
    assert await asked.lacks(Need.OWN_CLOCK) == (
        "pg2: its processes do not run under libfaketime: put compose.clock.yaml into the lab's COMPOSE_FILE"
    )
    assert await asked.lacks(Need.QUORUM) == (
        "1 etcd member, and a quorum takes 3: put compose.etcd3.yaml into the lab's COMPOSE_FILE"
    )
    assert "PATRONI_SYNCHRONOUS_MODE=on" in str(await asked.lacks(Need.SYNCHRONOUS))
    cluster.sync = "pg3"
    assert await asked.lacks(Need.SYNCHRONOUS) is None


async def test_every_need_is_known():
    for need in Need:
        await capabilities(Machine()).lacks(need)


async def test_how_it_is_listed():
    both = frozenset({Need.HELPER, Need.NETEM})
    assert _needs(frozenset(), {}) == "needs: nothing but the engine"
    assert _needs(both, {Need.HELPER: None, Need.NETEM: None}).endswith("can this machine do it: yes")
    assert _needs(both, {Need.HELPER: None, Need.NETEM: "no sch_netem"}).endswith("do it: no: netem: no sch_netem")
    assert _needs(both, "no lab is up").endswith("do it: not asked: no lab is up")
