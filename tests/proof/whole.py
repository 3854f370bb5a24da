"""Whether the lab is whole, asked from outside chaosbench: the engine's client, Patroni's REST API, Pgpool by psql."""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from chaosbench.cluster.labfiles import read_lab


def docker(*words: str, timeout: float = 30) -> str:
    done = subprocess.run(["docker", *words], capture_output=True, text=True, timeout=timeout)
    return done.stdout.strip()


@dataclass(frozen=True)
class Outside:
    """The lab as its user sees it."""

    lab: Path
    pgpool: str
    patroni: tuple[str, ...]
    containers: tuple[str, ...]
    password: str

    @classmethod
    def of(cls, lab: Path) -> Outside:
        files = read_lab(lab)
        label = f"label=io.chaosbench.lab={files.project}"
        found: dict[str, list[str]] = {
            role: docker("ps", "-aq", "--filter", label, "--filter", f"label=io.chaosbench.role={role}").split()
            for role in ("postgres", "etcd", "pgpool")
        }
        return cls(
            lab=lab,
            pgpool=docker("port", found["pgpool"][0], "9999").splitlines()[0],
            patroni=tuple(docker("port", each, "8008").splitlines()[0] for each in found["postgres"]),
            containers=tuple(each for ids in found.values() for each in ids),
            password=files.login.password,
        )

    def problems(self) -> list[str]:
        """What is not as it should be; nothing when the lab is whole."""
        states = docker("inspect", "--format", "{{.Name}} {{.State.Status}}", *self.containers).splitlines()
        found = [line for line in states if not line.endswith(" running")]
        if len(states) != len(self.containers):
            found.append("a container is missing")
        return found or self._patroni() or self._pgpool()

    def _patroni(self) -> list[str]:
        """Each node of itself first: what the DCS holds of one that was killed is old."""
        roles: list[str] = []
        for address in self.patroni:
            try:
                with urlopen(f"http://{address}/patroni", timeout=2) as answer:
                    node = json.load(answer)
                with urlopen(f"http://{address}/cluster", timeout=2) as answer:
                    members = json.load(answer)["members"]
            except (OSError, URLError, ValueError) as error:
                return [f"Patroni at {address}: {error}"]
            if node["state"] != "running" or (node["role"] == "replica" and "replication_state" not in node):
                return [f"Patroni at {address}: {node['role']}, {node['state']}"]
            well = sorted((m["role"], m["state"]) for m in members)
            if well != [("leader", "running"), *[("replica", "streaming")] * (len(self.patroni) - 1)]:
                return [f"Patroni at {address}: {well}"]
            roles.append(node["role"])
        return [] if roles.count("replica") == len(roles) - 1 else [f"roles: {roles}"]

    def _pgpool(self) -> list[str]:
        host, port = self.pgpool.split(":")
        from psycopg import ClientCursor, Error, connect

        try:
            with connect(
                host=host,
                port=int(port),
                user="chaosbench",
                password=self.password,
                dbname="chaosbench",
                autocommit=True,
                connect_timeout=3,
                cursor_factory=ClientCursor,
            ) as connection:
                rows = connection.execute("SHOW POOL_NODES").fetchall()
                connection.execute("CREATE TEMP TABLE through_pgpool ()")  # a write, to the primary
        except Error as error:
            return [f"Pgpool: {error}".splitlines()[0]]
        down = [f"Pgpool has {row[1]} {row[3]}" for row in rows if row[3] != "up"]
        return down or ([] if [row[6] for row in rows].count("primary") == 1 else ["Pgpool has no one primary"])

    def whole_within(self, since: float, seconds: float) -> tuple[float, list[str]]:
        """Wait for it: how long after ``since`` it was first seen whole (and then again), or what was wrong."""
        first: float | None = None
        while True:
            now = time.monotonic()
            problems = self.problems()
            if not problems and first is not None:
                return first - since, []
            first = None if problems else time.monotonic()
            if first is None and now - since > seconds:
                return now - since, problems
            time.sleep(0.3)
