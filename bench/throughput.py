"""Rows: how many transactions a second, against pgbench and against a bare asyncpg loop."""

from __future__ import annotations

from collections.abc import Iterator

from bench import peers
from bench.calling import call
from bench.load import Load, Taken
from bench.results import Row, Target, measured, ratios
from bench.room import room_for, wait_for_room
from bench.surroundings import Lab, Place

CLIENTS = (1, 8, 64, 250)
AGAINST_PGBENCH = Target(">=", 1.0)
AGAINST_BARE = Target(">=", 0.97)
_SPARE_S = 90.0
_SECONDS = 4
ROUNDS = 3


def throughput(lab: Lab, place: Place, workload: str, quick: bool) -> Iterator[Row]:
    """Each number of clients."""
    for clients in (8,) if quick else CLIENTS:
        yield from cell(lab, place, workload, room_for(lab, place, clients), 2 if quick else ROUNDS)


def cell(lab: Lab, place: Place, workload: str, clients: int, rounds: int) -> Iterator[Row]:
    """All three programs in turn, each round in another order."""
    asked = Load(port=place.port, workload=workload, clients=clients, seconds=_SECONDS)
    found: dict[str, list[float]] = {"pgbench": [], "bare": [], "engine": []}
    cpu: dict[str, list[float]] = {"bare": [], "engine": []}

    def wait() -> None:
        wait_for_room(lab, place, clients)

    for number in range(rounds):
        turns = list(found)
        for name in turns[number % 3 :] + turns[: number % 3]:
            if name == "pgbench":
                found[name].append(peers.pgbench(place, workload, clients, _SECONDS, lab.environment, wait))
                continue
            wait()
            taken = call(name, asked, Taken, lab.environment, _SECONDS + _SPARE_S)
            found[name].append(taken.rate)
            cpu[name].append(taken.cpu_us)
    figures = {f"{name}/s": rates for name, rates in found.items()} | {
        f"{name} µs": costs for name, costs in cpu.items()
    }
    where = f"{place.name}, {clients} client{'s' if clients > 1 else ''}"
    target = AGAINST_PGBENCH if place is lab.pgpool else None
    yield measured(f"{where}, against pgbench", ratios(found["engine"], found["pgbench"]), "x", target, figures)
    yield measured(f"{where}, against the bare loop", ratios(found["engine"], found["bare"]), "x", AGAINST_BARE)
