"""Rows: CPU that a query costs the client, above a bare loop, and against other load generators at the same rate."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

from pydantic import TypeAdapter

from bench import peers
from bench.alternating import Turns
from bench.calling import call
from bench.load import Load, Taken
from bench.results import Row, Target, measured, ratios
from bench.surroundings import Lab
from chaosbench.errors import UndeterminedError

ABOVE_BARE = Target("<=", 3.0)
AGAINST_LOCUST = Target("<=", 0.3)
RATE = 500.0
USERS = 16
_SETTLE_S = 3.0
_OFF_RATE = 0.05


def above_bare(lab: Lab, quick: bool) -> Iterator[Row]:
    """At full speed on one node, where the client's CPU is what there is to see; both in one process, in turn."""
    for clients, files in ((64, False),) if quick else ((64, True), (64, False), (8, False)):
        seconds, pairs = (1.0, 16) if files else (0.15, 20 if quick else 80)
        asked = Turns(port=lab.node.port, clients=clients, seconds=seconds, pairs=pairs, files=files)
        found = call("alternating", asked, list[tuple[float, float]], lab.environment, 180)
        above = [engine - bare for bare, engine in found]
        figures = {"bare µs": [bare for bare, _ in found], "chaosbench µs": [engine for _, engine in found]}
        words = ", and a run's files written" if files else ""
        yield measured(
            f"CPU a query above the bare loop, one node, {clients} clients{words}", above, "µs", ABOVE_BARE, figures
        )


def against_peers(lab: Lab, quick: bool) -> Iterator[Row]:
    """All at the same rate, with as many connections, seen from outside."""
    seconds = 4 if quick else 6
    whole = int(_SETTLE_S) + seconds + 2
    place = lab.node
    environment = lab.environment | peers.locust_environment(place, USERS, RATE)
    asked = Load(port=place.port, workload="select-only", clients=USERS, seconds=whole - 1.5, rate=RATE)
    arguments = TypeAdapter(Load).dump_json(asked).decode()
    programs: dict[str, tuple[list[str], Callable[[str], float]]] = {
        "chaosbench": ([sys.executable, "-m", "bench.child", "engine", arguments], _our_rate),
        "pgbench": (peers.pgbench_command(place, "select-only", USERS, whole, RATE), peers.pgbench_rate),
        "sysbench": (peers.sysbench_command(place, USERS, whole, RATE, environment), peers.sysbench_rate),
        "Locust": (peers.locust_command(USERS, whole), peers.locust_rate),
    }
    costs: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(1 if quick else 2):
        for name, (command, rate_of) in programs.items():
            seen = peers.watched(command, environment, _SETTLE_S, seconds)
            rate = rate_of(seen.report)
            if abs(rate / RATE - 1) > _OFF_RATE:
                raise UndeterminedError(f"{name} ran at {rate:.0f}/s instead of {RATE:.0f}/s")
            costs[name].append(seen.cpu_s / (rate * seen.seconds) * 1e6)
    figures = {f"{name} µs": found for name, found in costs.items()}
    for name in ("Locust", "sysbench", "pgbench"):
        target = AGAINST_LOCUST if name == "Locust" else None
        yield measured(
            f"CPU a query at {RATE:.0f}/s, one node, {USERS} clients, against {name}",
            ratios(costs["chaosbench"], costs[name]), "x", target, figures if name == "Locust" else None,
        )  # fmt: skip


def _our_rate(report: str) -> float:
    return TypeAdapter(Taken).validate_json(report).rate
