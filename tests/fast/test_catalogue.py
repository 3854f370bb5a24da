"""``scenarios/catalogue.yaml`` has one good example of every fault, ``partitions.yaml`` every cut that has a name."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
import yaml

from chaosbench.injectors.packets import Cut
from chaosbench.injectors.partition import Partition
from chaosbench.injectors.table import INJECTORS
from chaosbench.injectors.targets import peers, resolve
from chaosbench.scenarios.loader import load
from tests.fast.test_targets import WIDE

SCENARIOS = Path(__file__).parents[2] / "scenarios"
CATALOGUE = SCENARIOS / "catalogue.yaml"


def test_every_fault_has_its_example_and_each_example_is_good():
    scenarios = load(CATALOGUE).scenarios
    assert [scenario.name for scenario in scenarios] == list(INJECTORS)
    assert all(scenario.faults for scenario in scenarios)
    bodies = yaml.safe_load(CATALOGUE.read_text(encoding="utf-8"))["scenarios"]
    for kind in INJECTORS:
        assert kind in {fault["inject"] for fault in bodies[kind]["faults"]}


PARTITIONS = {scenario.name: scenario for scenario in load(SCENARIOS / "partitions.yaml").scenarios}
ALL = ("etcd1", "etcd2", "etcd3", "pg1", "pg2", "pg3", "pgpool1")
# In a cluster of three etcd members, of which etcd2 leads, where pg1 leads the others.
CUTS = {
    "leader-from-replicas": {"pg1": ("pg2", "pg3")},
    "leader-from-etcd": {"pg1": ("etcd1", "etcd2", "etcd3")},
    "etcd-member-from-the-rest": {"etcd2": ("etcd1", "etcd3")},
    "pgpool-from-the-leader": {"pgpool1": ("pg1",)},
    "everything-from-everything": {name: tuple(other for other in ALL if other != name) for name in ALL},
}


def test_every_cut_that_has_a_name_is_there_both_ways_and_one_way():
    assert list(PARTITIONS) == [f"{name}{way}" for name in CUTS for way in ("", "-one-way")]


@pytest.mark.parametrize("name", PARTITIONS)
def test_who_is_cut_from_whom(name: str):
    (fault,) = PARTITIONS[name].faults
    (action,) = fault.actions
    partition = action.injector
    assert isinstance(partition, Partition)
    hit = resolve(partition.target, partition, WIDE, Random(1))
    found = {member.name: tuple(one.name for one in peers(partition.peers, WIDE, member)) for member in hit}
    assert found == CUTS[name.removesuffix("-one-way")]
    script = Cut("t", "c", ("10.0.0.2",), direction=partition.direction).change().apply
    chains = sum(f"chain {hook} " in script for hook in ("input", "output"))
    assert chains == (1 if name.endswith("-one-way") else 2)
