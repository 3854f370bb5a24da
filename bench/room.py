"""Room for a program's clients: a server that is still parting with those of the program before refuses some."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, LiteralString

import psycopg
from psycopg.rows import dict_row

from bench.surroundings import Lab, Place
from chaosbench.errors import UndeterminedError

_LONGEST_S, _SOON_S = 60, 10
_KEPT_BACK = 20
_FREE = """
SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int - count(*)
       AS free
FROM pg_stat_activity WHERE backend_type IN ('client backend', 'walsender')
"""
_IDLE, _RESERVED = "Wait for connection", "reserved_connections"


def wait_for_room(lab: Lab, place: Place, clients: int) -> None:
    """Return when so many clients can connect. UndeterminedError when they cannot for a minute."""
    room = _waited(lab, place, clients, _LONGEST_S)
    if room < clients:
        raise UndeterminedError(f"{place.name} has no room for {clients} clients after {_LONGEST_S} s, but for {room}")


def room_for(lab: Lab, place: Place, wanted: int) -> int:
    """How many of so many clients there is room for. Waits a while for those that are about to end.

    Pgpool keeps the connections of its clients, which may be most of those that its leader has.
    """
    return min(wanted, _waited(lab, place, wanted, _SOON_S))


def _waited(lab: Lab, place: Place, clients: int, seconds: int) -> int:
    look, room = (_pgpool if place is lab.pgpool else _node), 0
    for _ in range(seconds):
        with suppress(psycopg.OperationalError):  # not even for one more
            room = look(place, lab.environment)
        if room >= clients:
            break
        time.sleep(1)
    return room


def _pgpool(place: Place, environment: Mapping[str, str]) -> int:
    """Processes without a client, but for those reserved. The one that answers will be free for the next client."""
    processes = _asked(place, environment, "SHOW POOL_PROCESSES")
    (reserved,) = (row["value"] for row in _asked(place, environment, "SHOW POOL_STATUS") if row["item"] == _RESERVED)
    idle = [process for process in processes if process["status"] == _IDLE]
    return len(idle) + 1 - int(reserved)


def _node(place: Place, environment: Mapping[str, str]) -> int:
    """Connections that are left; some are kept back for whoever looks on."""
    (row,) = _asked(place, environment, _FREE)
    return int(row["free"]) - _KEPT_BACK


def _asked(place: Place, environment: Mapping[str, str], sql: LiteralString) -> list[dict[str, Any]]:
    with psycopg.connect(
        host="127.0.0.1",
        port=place.port,
        user=environment["PGUSER"],
        password=environment["PGPASSWORD"],
        dbname=environment["PGDATABASE"],
        sslmode="disable",
        autocommit=True,
        row_factory=dict_row,
    ) as connection:
        return connection.execute(sql).fetchall()
