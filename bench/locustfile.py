"""A user of Locust that does what a client of select-only does: one account's balance by primary key, prepared.

The environment has the login, the port and each user's rate. psycopg waits cooperatively once gevent has patched
the standard library, which Locust does first.
"""

from __future__ import annotations

import os
import random
import time

import psycopg
from locust import User, constant, constant_throughput, task

ACCOUNTS = 100_000
RATE = os.environ["BENCH_USER_RATE"]
SELECT = "SELECT abalance FROM pgbench_accounts WHERE aid = %s"


class Client(User):
    """One connection."""

    wait_time = constant_throughput(float(RATE)) if RATE else constant(0)

    def on_start(self) -> None:
        """Connect."""
        port = os.environ["BENCH_PORT"]
        self.cursor = psycopg.connect(host="127.0.0.1", port=port, autocommit=True, sslmode="disable").cursor()

    @task
    def select(self) -> None:
        """One request, reported as Locust wants it of a client of one's own."""
        began = time.perf_counter()
        failure = None
        try:
            self.cursor.execute(SELECT, (int(random.random() * ACCOUNTS) + 1,), prepare=True).fetchone()
        except psycopg.Error as error:
            failure = error
        self.environment.events.request.fire(
            request_type="query",
            name="select-only",
            response_time=(time.perf_counter() - began) * 1000,
            response_length=0,
            exception=failure,
        )
