"""The main job, whole: the scenarios of the repository, as `make run` runs them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from chaosbench import lab

pytestmark = pytest.mark.proof

ROOT = Path(__file__).parents[2]


def test_the_repositorys_own_scenarios_pass(tmp_path: Path):
    directory = lab.find_lab(ROOT)
    run = subprocess.run(
        [sys.executable, "-m", "chaosbench", "run", str(ROOT / "scenarios.yaml")]  # noqa: RUF005 - options apart
        + ["--lab", str(directory), "--out", str(tmp_path), "--metrics-port", "0"],
        capture_output=True,
        text=True,
        timeout=900,
    )
    print(run.stdout, run.stderr)
    assert run.returncode == 0, run.stdout
    summaries = {s["scenario"]: s for s in (json.loads(p.read_text()) for p in tmp_path.glob("2*/summary.json"))}
    assert set(summaries) == {"steady", "leader-kill", "etcd-freeze", "switchover"}
    for summary in summaries.values():
        assert summary["load"]["offered_per_s"] >= 1000
        assert summary["ledger"]["checked"]
        assert summary["cluster_whole_again"]
    (kill,) = summaries["leader-kill"]["faults"]
    assert kill["rto_s"] > 5, "the lease has to run out first"
    assert kill["leader_after"] != kill["leader_before"]
    (freeze,) = summaries["etcd-freeze"]["faults"]
    # The leader steps down within the freeze, and nobody can follow it before the thaw.
    assert freeze["rto_s"] > 30
    assert freeze["t1_s"] > freeze["injected_at_s"]
