"""A leader kill on the real lab, with the load carried by two worker processes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from chaosbench.cluster.docker import DockerCluster
from tests.live.runs import running, scenario

pytestmark = pytest.mark.live

YAML = scenario("""
duration: 32s
load:
  workers: 2
  streams:
    - {workload: ledger, rate: 100/s, connections: 8}
    - {workload: select-only, rate: 200/s, arrivals: poisson, connections: 8}
faults:
  - {at: 3s, inject: kill, target: leader, hold: 10s}
expect: {unexpected: 0}
""")


async def test_a_leader_kill_with_two_workers(cluster: DockerCluster, lab_directory: Path, tmp_path: Path):
    with running(tmp_path, lab_directory, YAML, "--samples") as run:
        run.until(r"kill on \w+ in place")
        page = run.metrics()
        code = run.ended()
    assert code in (0, 3), run.output  # 3: the generator may be late on a small machine
    reads = re.search(r'chaosbench_queries_total\{[^}]*outcome="ok"[^}]*workload="select-only"[^}]*\} (\S+)', page)
    assert reads is not None, "live metrics have the sum"
    assert float(reads[1]) > 0
    summary = run.summary()
    assert len(summary["workers"]) == 2
    for one in summary["workers"]:
        assert one["lost_at_s"] is None
        assert (one["connections"], one["attempted"] > 2000) == (8, True)
        assert abs(one["clock_offset_s"]) * 1e3 <= one["clock_uncertainty_ms"] < 100, "one machine, one clock"
    load = summary["load"]
    assert load["in_flight"] == 0
    assert load["attempted"] == load["ok"] + load["failed"] + load["unknown"] + load["shed"]
    assert load["attempted"] == sum(one["attempted"] for one in summary["workers"])
    assert load["offered_per_s"] == pytest.approx(300, rel=0.05)
    (fault,) = summary["faults"]
    assert fault["rto_s"] is not None
    assert 2 < fault["rto_s"] < 32, "the lease has to run out first"
    assert fault["write_gap_s"] == pytest.approx(fault["rto_s"], abs=2)
    assert any(window["op_class"] == "write" for window in fault["error_windows"])
    ledger = summary["ledger"]
    assert ledger["checked"]
    assert ledger["unexpected"] == 0
    assert ledger["attempted"] == ledger["acked"] + ledger["failed"] + ledger["unknown"]
    assert len(summary["consistency"]["served"]) == 2, "the old leader and the new one"
