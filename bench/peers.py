"""Other people's load generators: how each is run against the same server and data, and how its report is read."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.calling import output
from bench.surroundings import ROOT, SCALE, Place, process_cpu_s, program
from chaosbench.errors import UndeterminedError

_HERE = Path(__file__).parent
_BUILTIN = {"select-only": "select-only", "tpcb-like": "tpcb-like"}
_SPARE_S = 60.0
_CONNECT_S = 0.01
_LONGEST_S = 120
_enough: dict[tuple[int, int], int] = {}
"""Of a port and a number of clients: the ``--time`` that left pgbench enough of it once they were connected."""


def pgbench_command(place: Place, workload: str, clients: int, seconds: int, rate: float | None = None) -> list[str]:
    """pgbench with prepared statements and one thread."""
    command = [
        program("pgbench"), "--host=127.0.0.1", f"--port={place.port}", "--no-vacuum", "--protocol=prepared",
        f"--builtin={_BUILTIN[workload]}", f"--scale={SCALE}", f"--client={clients}", "--jobs=1", f"--time={seconds}",
    ]  # fmt: skip
    return command if rate is None else [*command, f"--rate={rate:g}"]


def pgbench_rate(report: str) -> float:
    """Transactions a second, connecting left out. UndeterminedError when some failed, or none is told."""
    if (failed := re.search(r"number of failed transactions: (\d+)", report)) and failed[1] != "0":
        raise UndeterminedError(f"pgbench had {failed[1]} failed transactions")
    found = re.search(r"^tps = ([\d.]+) \(without initial connection time\)", report, re.MULTILINE)
    if found is None:
        raise UndeterminedError(f"pgbench tells no rate: {report[-200:]}")
    return float(found[1])


def pgbench_connecting(report: str) -> float | None:
    """How long its clients took to connect, in seconds; None when its time was over before they had."""
    found = re.search(r"^initial connection time = ([\d.]+) ms", report, re.MULTILINE)
    return float(found[1]) / 1000 if found else None


def pgbench(
    place: Place, workload: str, clients: int, seconds: int, environment: Mapping[str, str], wait: Callable[[], None]
) -> float:
    """pgbench's transactions a second at full speed, over ``seconds`` at least: its ``--time`` includes connecting.

    wait:  called before each run of it, returns when the server has room for its clients
    """
    given = _enough.get((place.port, clients), seconds + math.ceil(clients * _CONNECT_S))
    while given <= _LONGEST_S:
        wait()
        report = output(pgbench_command(place, workload, clients, given), environment, given + _SPARE_S)
        connecting = pgbench_connecting(report)
        if connecting is not None and given - connecting >= seconds:
            _enough[place.port, clients] = given
            return pgbench_rate(report)
        given = 2 * given if connecting is None else seconds + math.ceil(1.5 * connecting)
    raise UndeterminedError(f"pgbench cannot connect {clients} clients within {_LONGEST_S} s")


def sysbench_command(
    place: Place, clients: int, seconds: int, rate: float | None, environment: Mapping[str, str]
) -> list[str]:
    """sysbench with the same statement as select-only, prepared."""
    command = [
        program("sysbench"), str(_HERE / "select_only.lua"), "--db-driver=pgsql", "--pgsql-host=127.0.0.1",
        f"--pgsql-port={place.port}", f"--pgsql-user={environment['PGUSER']}",
        f"--pgsql-db={environment['PGDATABASE']}",
        f"--pgsql-password={environment['PGPASSWORD']}", f"--threads={clients}", f"--time={seconds}", "--events=0",
        "run",
    ]  # fmt: skip
    return command if rate is None else [*command[:-1], f"--rate={rate:g}", "run"]


def sysbench_rate(report: str) -> float:
    """Events a second."""
    found = re.search(
        r"^\s*events/s \(eps\):\s+([\d.]+)|transactions:\s+\d+\s+\(([\d.]+) per sec\.\)", report, re.MULTILINE
    )
    if found is None:
        raise UndeterminedError(f"sysbench tells no rate: {report[-200:]}")
    return float(found[1] or found[2])


def locust_command(clients: int, seconds: int) -> list[str]:
    """Locust without its page, in one process; its user sends the same statement (see :func:`locust_environment`)."""
    return [
        sys.executable, "-m", "locust", "--locustfile", str(_HERE / "locustfile.py"), "--headless", "--json",
        "--users", str(clients), "--spawn-rate", str(clients), "--run-time", f"{seconds}s", "--loglevel", "WARNING",
    ]  # fmt: skip


def locust_environment(place: Place, clients: int, rate: float | None) -> dict[str, str]:
    """What the user in ``locustfile.py`` reads; without a rate it never waits."""
    return {"BENCH_PORT": str(place.port), "BENCH_USER_RATE": "" if rate is None else f"{rate / clients:g}"}


def locust_rate(report: str) -> float:
    """Requests a second, over the time from the first to the last. UndeterminedError when some failed."""
    try:
        (row,) = json.loads(report[report.index("[") :])
        if row["num_failures"]:
            raise UndeterminedError(f"Locust had {row['num_failures']} failed requests")
        return float(row["num_requests"]) / (float(row["last_request_timestamp"]) - float(row["start_time"]))
    except (ValueError, KeyError, ZeroDivisionError):
        raise UndeterminedError(f"Locust tells no rate: {report[-200:]}") from None


@dataclass(frozen=True, slots=True)
class Watched:
    """A program at a fixed rate, looked at from outside while it was at it."""

    report: str
    cpu_s: float
    seconds: float


def watched(
    command: list[str], environment: Mapping[str, str], settle: float, seconds: float, spare: float = _SPARE_S
) -> Watched:
    """Run a program and measure its CPU from ``settle`` seconds after its start, for ``seconds``."""
    with subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        try:
            time.sleep(settle)
            cpu_began, began = process_cpu_s(running.pid), time.monotonic()
            time.sleep(seconds)
            cpu_s, took = process_cpu_s(running.pid) - cpu_began, time.monotonic() - began
            said, complaints = running.communicate(timeout=spare)
        except subprocess.TimeoutExpired:
            running.kill()
            raise UndeterminedError(f"{command[0]} did not end") from None
        except OSError:
            said, complaints = running.communicate(timeout=spare)
            raise UndeterminedError(f"{command[0]} ended early: {(complaints or said)[-400:]}") from None
    if running.returncode:
        raise UndeterminedError(f"{command[0]} failed: {(complaints or said).strip()[-400:]}")
    return Watched(said, cpu_s, took)
