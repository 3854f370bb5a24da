"""Rows: CPU that a query costs the client, above a bare loop, and against other load generators at the same rate."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

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
OURS = "chaosbench"
USERS = 16
_SETTLE_S = 3.0
_OFF_RATE = 0.1


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


@dataclass(frozen=True, slots=True)
class Program:
    """A load generator: its command, what its environment needs, how its rate is read from its report."""

    command: list[str]
    rate_of: Callable[[str], float]
    environment: Mapping[str, str]


def against_peers(lab: Lab, quick: bool) -> Iterator[Row]:
    """As many connections each, seen from outside: at the same rate, and each as fast as it can."""
    for rate in (RATE, None):
        seconds = 4 if quick else 6
        costs, rates = _costs(lab, rate, seconds, 1 if quick else 2)
        figures = {f"{name} µs": found for name, found in costs.items()}
        figures |= {f"{name}/s": found for name, found in rates.items()} if rate is None else {}
        pace = "at full speed" if rate is None else f"at {rate:.0f}/s"
        for name in costs:
            if name == OURS:
                continue
            target = AGAINST_LOCUST if name == "Locust" else None
            measure = f"CPU a query {pace}, one node, {USERS} clients, against {name}"
            yield measured(
                measure, ratios(costs[OURS], costs[name]), "x", target, figures if name == "Locust" else None
            )


def _programs(lab: Lab, rate: float | None, whole: int) -> dict[str, Program]:
    place, login = lab.node, lab.environment
    asked = Load(port=place.port, workload="select-only", clients=USERS, seconds=whole - 1.5, rate=rate)
    arguments = TypeAdapter(Load).dump_json(asked).decode()
    locust = login | peers.locust_environment(place, USERS, rate)
    return {
        OURS: Program([sys.executable, "-m", "bench.child", "engine", arguments], _our_rate, login),
        "the bare loop": Program([sys.executable, "-m", "bench.child", "bare", arguments], _our_rate, login),
        "Locust": Program(peers.locust_command(USERS, whole), peers.locust_rate, locust),
        "pgbench": Program(
            peers.pgbench_command(place, "select-only", USERS, whole, rate), peers.pgbench_rate, login
        ),
        "sysbench": Program(
            peers.sysbench_command(place, USERS, whole, rate, login), peers.sysbench_rate, login
        ),
    }  # fmt: skip


def _costs(
    lab: Lab, rate: float | None, seconds: int, rounds: int
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """CPU a query in µs and queries a second, round by round."""
    programs = _programs(lab, rate, int(_SETTLE_S) + seconds + 2)
    costs: dict[str, list[float]] = {name: [] for name in programs}
    rates: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(rounds):
        for name, program in programs.items():
            seen = peers.watched(program.command, program.environment, _SETTLE_S, seconds)
            achieved = program.rate_of(seen.report)
            if rate is not None and abs(achieved / rate - 1) > _OFF_RATE:
                raise UndeterminedError(f"{name} ran at {achieved:.0f}/s instead of {rate:.0f}/s")
            costs[name].append(seen.cpu_s / (achieved * seen.seconds) * 1e6)
            rates[name].append(achieved)
    return costs, rates


def _our_rate(report: str) -> float:
    return TypeAdapter(Taken).validate_json(report).rate
