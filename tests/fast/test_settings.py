"""What a cluster is set to, as the report tells it: flat names, limits, and never a password."""

from __future__ import annotations

import pytest
from test_run import Rig

from chaosbench.cluster.settings import flat, is_secret, limits
from chaosbench.errors import ClusterUnavailable


def test_nested_settings_become_dotted_names():
    said = {"ttl": 20, "synchronous_mode": False, "postgresql": {"parameters": {"wal_level": "replica"}}, "tags": None}
    assert dict(flat("patroni", said)) == {
        "patroni.ttl": "20",
        "patroni.synchronous_mode": "false",
        "patroni.postgresql.parameters.wal_level": "replica",
    }


@pytest.mark.parametrize(
    "name", ["sr_check_password", "wd_authkey", "primary_conninfo", "ssl_passphrase_SECRET", "health_check_password0"]
)
def test_secrets_are_left_out(name: str):
    assert is_secret(name)
    assert dict(flat("pgpool", {name: "hush", "port": "9999"})) == {"pgpool.port": "9999"}


@pytest.mark.parametrize(
    ("said", "cpus", "memory"),
    [
        ({"Memory": 2**30, "NanoCpus": 700_000_000}, "0.7", "1024 MiB"),
        ({"Memory": 0, "NanoCpus": 0, "CpuQuota": 50_000, "CpuPeriod": 100_000}, "0.5", "none"),
        ({}, "none", "none"),
    ],
)
def test_limits(said: dict[str, int], cpus: str, memory: str):
    assert dict(limits("pg1", said)) == {"limits.pg1.cpus": cpus, "limits.pg1.memory": memory}


@pytest.mark.looptime(noop_cycles=0)
async def test_a_summary_names_the_settings_it_was_measured_with():
    environment = (await Rig().run(duration=1.0)).environment
    assert environment["patroni.ttl"] == "20"
    assert environment["pgpool.num_init_children"] == "260"


@pytest.mark.looptime(noop_cycles=0)
async def test_settings_that_nobody_tells_do_not_cost_the_results():
    rig = Rig()

    async def gone() -> dict[str, str]:
        raise ClusterUnavailable("the engine does not answer")

    rig.cluster.settings = gone  # type: ignore[method-assign]
    summary = await rig.run(duration=1.0)
    assert summary.load.ok
    assert "patroni.ttl" not in summary.environment
