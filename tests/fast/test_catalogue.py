"""``scenarios/catalogue.yaml`` has one good example of every fault."""

from __future__ import annotations

from pathlib import Path

import yaml

from chaosbench.injectors.table import INJECTORS
from chaosbench.scenarios.loader import load

CATALOGUE = Path(__file__).parents[2] / "scenarios" / "catalogue.yaml"


def test_every_fault_has_its_example_and_each_example_is_good():
    scenarios = load(CATALOGUE).scenarios
    assert [scenario.name for scenario in scenarios] == list(INJECTORS)
    assert all(scenario.faults for scenario in scenarios)
    bodies = yaml.safe_load(CATALOGUE.read_text(encoding="utf-8"))["scenarios"]
    for kind in INJECTORS:
        assert kind in {fault["inject"] for fault in bodies[kind]["faults"]}
