"""An independent witness: psycopg, threads, no line of chaosbench. Writes through Pgpool and notes what came back.

Usage: prober.py HOST:PORT USER PASSWORD DATABASE HERTZ SECONDS NAME. Prints one line an acknowledged write: the
CLOCK_MONOTONIC stamps, in nanoseconds, at which it was sent and acknowledged.
"""

from __future__ import annotations

import sys
import threading
import time

import psycopg

THREADS = 4
TIMEOUT = 2


def main() -> None:
    address, user, password, database, hertz, seconds, name = sys.argv[1:]
    host, port = address.split(":")
    login = {"host": host, "port": port, "user": user, "password": password, "dbname": database, "sslmode": "disable"}
    table = f"prober_{name}"
    with psycopg.connect(**login, autocommit=True) as connection:
        connection.execute(f"CREATE TABLE IF NOT EXISTS {table} (at timestamptz)")
    start = time.monotonic() + 0.5
    end = start + float(seconds)
    acks: list[tuple[int, int]] = []
    step = THREADS / float(hertz)

    def write(number: int) -> None:
        """One thread: a write on its own grid, on its own connection, which it opens anew when it breaks."""
        connection = None
        due = start + number * step / THREADS
        while due < end:
            time.sleep(max(0.0, due - time.monotonic()))
            sent = time.monotonic_ns()
            try:
                if connection is None:
                    connection = psycopg.connect(
                        **login, autocommit=True, connect_timeout=TIMEOUT, options=f"-c statement_timeout={TIMEOUT}s"
                    )
                connection.execute(f"INSERT INTO {table} VALUES (now())", prepare=False)
                acks.append((sent, time.monotonic_ns()))
            except psycopg.Error:
                if connection is not None:
                    connection.close()
                connection = None
            due = max(due + step, time.monotonic() - step)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for sent, done in sorted(acks, key=lambda ack: ack[1]):
        print(sent, done)


if __name__ == "__main__":
    main()
