"""Proof 4: an independent witness sees the same write outage as chaosbench does.

For each fault, chaosbench runs and two probers (psycopg, in processes of their own, 500 writes a second each, no
shared code) write beside it. All stamp CLOCK_MONOTONIC. The outage is the longest stretch without an acknowledged
write. Its start must agree within 25 ms and its end within 50 ms, or within the disagreement of the two probers with
each other where that is larger: on few cores a storm of reconnecting clients decides who of them is served first.
"""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from chaosbench import lab
from chaosbench.cluster.labfiles import read_lab

pytestmark = pytest.mark.unsettled

ROOT = Path(__file__).parents[2]
START_NS, END_NS = 25_000_000, 50_000_000

FAULTS = {
    "leader-kill": ("{at: 6s, inject: kill, target: leader, hold: 25s}", 60),
    "etcd-freeze": ("{at: 6s, inject: pause, target: etcd, hold: 25s}", 65),
    "switchover": ("{at: 6s, inject: switchover, target: leader}", 30),
}

YAML = """
scenarios:
  {name}:
    duration: {seconds}s
    warm_up: 2s
    recovery: 90s
    load:
      - {{workload: select-only, rate: 50/s, connections: 4}}
      - {{workload: ledger, rate: 100/s, connections: 4}}
    faults: [{fault}]
"""


@pytest.mark.parametrize("run", [1, 2, 3])
@pytest.mark.parametrize("name", FAULTS)
def test_an_independent_prober_sees_the_same_outage(name: str, run: int, tmp_path: Path):
    fault, seconds = FAULTS[name]
    file = tmp_path / "scenarios.yaml"
    file.write_text(YAML.format(name=name, seconds=seconds, fault=fault))
    directory = lab.find_lab(ROOT)
    words = ["run", str(file), "--lab", str(directory), "--out", str(tmp_path), "--metrics-port", "0"]
    chaosbench = subprocess.Popen(
        [sys.executable, "-m", "chaosbench", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert chaosbench.stdout is not None
    said = []
    for line in chaosbench.stdout:
        said.append(line)
        if "  load: " in line:
            break
    probers = [prober(directory, seconds - 2, number) for number in (1, 2)]
    out, _ = chaosbench.communicate(timeout=seconds + 200)
    print("".join(said), out)
    outages = [longest_gap(process.communicate(timeout=60)[0]) for process in probers]
    (path,) = tmp_path.glob(f"*-{name}/summary.json")
    summary = json.loads(path.read_text())
    (found,) = summary["faults"]
    start_ns = summary["started_monotonic_ns"]
    ours = tuple(start_ns + round(found["phases"][f"canary_gap_{end}_s"] * 1e9) for end in ("from", "to"))
    allowed = [max(limit, abs(outages[0][i] - outages[1][i])) for i, limit in enumerate((START_NS, END_NS))]
    for i, end in enumerate(("start", "end")):
        nearest = min(abs(outage[i] - ours[i]) for outage in outages)
        probers_ms = abs(outages[0][i] - outages[1][i]) / 1e6
        print(
            f"{name} run {run}: {end} differs by {nearest / 1e6:.1f} ms (probers among themselves {probers_ms:.1f} ms)"
        )
    assert all(outage[1] - outage[0] > 300_000_000 for outage in outages), "the probers saw an outage at all"
    for i in (0, 1):
        assert min(abs(outage[i] - ours[i]) for outage in outages) <= allowed[i]


def prober(directory: Path, seconds: float, number: int) -> subprocess.Popen[str]:
    login = read_lab(directory).login
    words = ["127.0.0.1:" + port(directory), login.user, login.password, login.database, "500", str(seconds)]
    script = str(Path(__file__).with_name("prober.py"))
    return subprocess.Popen([sys.executable, script, *words, str(number)], stdout=subprocess.PIPE, text=True)


def port(directory: Path) -> str:
    settings = dict(
        line.split("=", 1) for line in (directory / ".env").read_text().splitlines() if "=" in line and line[0] != "#"
    )
    return settings["PGPOOL1_PORT"]


def longest_gap(lines: str) -> tuple[int, int]:
    done = [int(line.split()[1]) for line in lines.splitlines()]
    gaps = [(later - earlier, earlier, later) for earlier, later in pairwise(done)]
    _, start, end = max(gaps)
    return start, end
