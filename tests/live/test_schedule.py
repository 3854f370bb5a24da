"""Overlapping faults on a schedule, on the real lab: planned, told by the dry run, injected, healed."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from chaosbench.cluster.docker import DockerCluster
from tests.live.conftest import container_state
from tests.live.runs import running, scenario

pytestmark = pytest.mark.live

YAML = scenario("""
duration: 22s
load: {workload: ledger, rate: 50/s, connections: 4}
faults:
  - {at: 2s, inject: pause, target: replica, hold: 4s..6s, name: long}
  - {every: 5s, until: 15s, inject: kill, target: pgpool, hold: 1s, name: often}
  - {when: {healed: long}, inject: pause, target: pgpool, hold: 1s, name: after}
""")


async def test_overlapping_faults_on_a_schedule(cluster: DockerCluster, lab_directory: Path, tmp_path: Path):
    members = {member.name: member for member in (await cluster.snapshot()).members}
    file = tmp_path / "dry.yaml"
    file.write_text(YAML)
    words = [sys.executable, "-m", "chaosbench", "run", str(file), "--lab", str(lab_directory), "--dry-run"]
    dry = await asyncio.to_thread(subprocess.run, words, capture_output=True, text=True, timeout=60)
    assert dry.returncode == 0, dry.stdout + dry.stderr
    told = {line.split()[-5 if ">=" in line else 2]: line.split()[-1] for line in dry.stdout.splitlines()[3:]}
    with running(tmp_path, lab_directory, YAML) as run:
        run.until(r"pause on \w+ in place")
        paused = [name for name, member in members.items() if container_state(member.container_id) == "paused"]
        run.until(r"kill on pgpool1 in place")
        assert container_state(members[paused[0]].container_id) == "paused", "both are in place at once"
        assert container_state(members["pgpool1"].container_id) == "exited"
        code = run.ended()
    assert code in (0, 3), run.output  # 3: the generator may be late on a small machine
    faults = {fault["name"]: fault for fault in run.summary()["faults"]}
    assert set(faults) == {"long", "often-1", "often-2", "after"}
    assert [faults["long"]["member"]] == paused == [told["long"]], "the seed chose whom the dry run had told"
    assert 4 <= faults["long"]["healed_at_s"] - faults["long"]["injected_at_s"] <= 8
    assert faults["after"]["injecting_at_s"] >= faults["long"]["healed_at_s"]
    spans = sorted((faults[name]["injecting_at_s"], faults[name]["healed_at_s"]) for name in faults if name != "long")
    assert all(earlier[1] <= later[0] for earlier, later in pairwise(spans)), "one container"
    assert {container_state(member.container_id) for member in members.values()} == {"running"}
