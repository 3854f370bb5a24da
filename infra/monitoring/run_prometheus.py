"""Starts Prometheus: writes where everything listens, from the environment, then becomes Prometheus.

Prometheus' own configuration knows no variables. So it names files of targets, one for each job, and these are made
here: the ports are those of .env, whatever they are.
"""

import json
import os
from pathlib import Path

from account import drop_privileges

CONFIGURATION = Path("/etc/chaosbench/prometheus.yml")
TARGETS = Path("/run/targets")


def named(text: str) -> list[dict]:
    """Targets out of `member=address,member=address`."""
    pairs = (pair.split("=", 1) for pair in text.split(","))
    return [{"targets": [address], "labels": {"member": member}} for member, address in pairs]


def etcd(env: dict[str, str]) -> list[dict]:
    """The first member, or all three where the lab's files say so."""
    members = named(env["ETCD"])
    return members if "compose.etcd3.yaml" in env["LAB_FILES"].split(":") else members[:1]


def targets(env: dict[str, str]) -> dict[str, list[dict]]:
    """By job. A job is one file, so that prometheus.yml can name it."""
    own = f"{env['MONITORING_ADDRESS']}:{env['PROMETHEUS_PORT']}"
    return {
        "chaosbench": [{"targets": [env["CHAOSBENCH_METRICS"]], "labels": {}}],
        "patroni": named(env["PATRONI"]),
        "etcd": etcd(env),
        "pgpool": named(env["PGPOOL_EXPORTER"]),
        "postgres": [
            row | {"labels": row["labels"] | {"__exporter__": env["POSTGRES_EXPORTER"]}}
            for row in named(env["POSTGRES"])
        ],
        "prometheus": [{"targets": [own], "labels": {}}],
    }


def command(env: dict[str, str]) -> list[str]:
    return [
        "prometheus",
        f"--config.file={CONFIGURATION}",
        "--storage.tsdb.path=/data",
        f"--storage.tsdb.retention.time={env['PROMETHEUS_RETENTION']}",
        f"--storage.tsdb.retention.size={env['PROMETHEUS_RETENTION_SIZE']}",
        f"--web.listen-address={env['MONITORING_ADDRESS']}:{env['PROMETHEUS_PORT']}",
        # Nobody needs more at once, and a query gone wrong must not take the CPU from the cluster for long.
        "--query.max-concurrency=4",
        "--query.timeout=30s",
    ]


def main() -> None:
    TARGETS.mkdir(exist_ok=True)
    for job, rows in targets(dict(os.environ)).items():
        (TARGETS / f"{job}.json").write_text(json.dumps(rows, indent=2))
    drop_privileges()
    words = command(dict(os.environ))
    os.execvp(words[0], words)


if __name__ == "__main__":
    main()
