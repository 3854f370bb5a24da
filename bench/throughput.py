"""Rows: how many transactions a second, against pgbench and against a bare asyncpg loop."""

from __future__ import annotations

import time
from collections.abc import Iterator

import psycopg

from bench import peers
from bench.calling import call
from bench.load import Load, Taken
from bench.results import Row, Target, measured, ratios
from bench.surroundings import Lab, Place

CLIENTS = (1, 8, 64, 250)
AGAINST_PGBENCH = Target(">=", 1.0)
AGAINST_BARE = Target(">=", 0.97)
_SPARE_S = 90.0
_TRIES, _KEPT_BACK = 10, 20
_FREE = """
SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int - count(*)
FROM pg_stat_activity WHERE backend_type IN ('client backend', 'walsender')
"""
_SECONDS = 2
ROUNDS = 3


def throughput(lab: Lab, place: Place, workload: str, quick: bool) -> Iterator[Row]:
    """Each number of clients."""
    for clients in (8,) if quick else CLIENTS:
        room = clients if place is lab.pgpool else min(clients, free_connections(lab, clients))
        yield from cell(lab, place, workload, room, 2 if quick else ROUNDS)


def free_connections(lab: Lab, wanted: int) -> int:
    """How many connections the leader has for a load: Pgpool keeps those of its clients, which may be most of them.

    Waits a while for those that are about to end. Some are kept back for whoever looks on.
    """
    login = {name.lower().removeprefix("pg"): value for name, value in lab.environment.items()}
    where = f"host=127.0.0.1 port={lab.node.port} dbname={login['database']} sslmode=disable"
    with psycopg.connect(where, user=login["user"], password=login["password"], autocommit=True) as connection:
        free = 0
        for _ in range(_TRIES):
            row = connection.execute(_FREE).fetchone()
            assert row is not None, "an aggregate has a row"
            free = int(row[0]) - _KEPT_BACK
            if free >= wanted:
                break
            time.sleep(1)
        return free


def cell(lab: Lab, place: Place, workload: str, clients: int, rounds: int) -> Iterator[Row]:
    """All three programs in turn, each round in another order."""
    asked = Load(port=place.port, workload=workload, clients=clients, seconds=_SECONDS)
    found: dict[str, list[float]] = {"pgbench": [], "bare": [], "engine": []}
    cpu: dict[str, list[float]] = {"bare": [], "engine": []}
    for number in range(rounds):
        turns = list(found)
        for name in turns[number % 3 :] + turns[: number % 3]:
            if name == "pgbench":
                found[name].append(peers.pgbench(place, workload, clients, _SECONDS, lab.environment))
                continue
            time.sleep(clients * peers.GOODBYE_S)
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
