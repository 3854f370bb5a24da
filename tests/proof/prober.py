"""An independent witness: psycopg and no line of chaosbench. Writes through Pgpool and notes what came back.

Usage: prober.py HOST:PORT USER DATABASE HERTZ SECONDS NAME, with the password in PGPASSWORD. Prints the CLOCK_MONOTONIC
stamp, in nanoseconds, of each acknowledgement, and at last that of the prober's end.

It has two connections and no back-off, but does not hammer either: letting a client in costs the lab's Pgpool 50 ms of
a core, and sixteen connections that asked for it again and again kept everybody out for 15 s.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from contextlib import suppress

import psycopg

LET_IN_S = (1.0, 3.0)
"""How long each connection waits to be let in: a Pgpool that changes its primary leaves some hanging for good."""
CONNECTIONS = len(LET_IN_S)
AGAIN_S = 0.2
TIMEOUT_S = 1.0
RENEW_S = 1.0
"""A connection whose writes are refused may be tied to a former primary: it is used for so long."""
# Not flushed one by one: two cores cannot flush 1,000 writes a second and still answer within milliseconds.
OPTIONS = "-c synchronous_commit=off"


async def keep_writing(
    login: dict[str, str], let_in: float, sql: str, due: float, step: float, end: float, acks: list[int]
) -> None:
    """Over one connection, opened anew when it breaks. What its grid asks for while it is busy is left out."""
    connection: psycopg.AsyncConnection | None = None
    refused: float | None = None
    while due < end:
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        try:
            if connection is None:
                async with asyncio.timeout(let_in):
                    connection = await psycopg.AsyncConnection.connect(**login, autocommit=True, options=OPTIONS)
                refused = None
            async with asyncio.timeout(TIMEOUT_S):
                await connection.execute(sql, prepare=False)
            acks.append(time.monotonic_ns())
            refused = None
        except (psycopg.Error, TimeoutError) as error:
            refused = refused or time.monotonic()
            gone = isinstance(error, TimeoutError) or connection is None or connection.broken
            if gone or time.monotonic() - refused > RENEW_S:
                if connection is not None:
                    connection.pgconn.finish()
                connection = None
                await asyncio.sleep(AGAIN_S)
        due = max(due + step, time.monotonic() - step)


async def main() -> None:
    address, user, database, hertz, seconds, name = sys.argv[1:]
    host, port = address.split(":")
    login = {"host": host, "port": port, "user": user, "dbname": database, "sslmode": "disable"}
    sql = f"INSERT INTO prober_{name} VALUES (now())"
    acks: list[int] = []
    start, step = time.monotonic(), CONNECTIONS / float(hertz)
    async with asyncio.TaskGroup() as group:
        for number, let_in in enumerate(LET_IN_S):
            due = start + number * step / CONNECTIONS
            group.create_task(keep_writing(login, let_in, sql, due, step, start + float(seconds), acks))
    acks.append(time.monotonic_ns())  # before a line is printed: whoever reads them may let this process wait
    for done in sorted(acks):
        print(done)


if __name__ == "__main__":
    # It measures, so it comes before what it measures, as chaosbench does.
    with suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    asyncio.run(main())
