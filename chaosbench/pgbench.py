"""pgbench's transactions, statement for statement.

Tables and transactions are those of pgbench itself (PostgreSQL documentation,
pgbench, "What is the 'Transaction' Actually Performed in pgbench?"), so that
pgbench can run against the same data.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Any

from chaosbench.engine import Attempt, Operation
from chaosbench.engine.statement import prepared
from chaosbench.outcome import OpClass

ACCOUNTS = 100_000
TELLERS = 10
"""Rows per unit of scale; branches are one per unit."""

Call = Callable[[Attempt], Awaitable[None]]
Opener = Callable[[Any, random.Random], Awaitable[Call]]
"""Prepares an operation's statements on a connection; the call it gives runs the operation once."""

READ = Operation("select-only", OpClass.READ)
SIMPLE_UPDATE = Operation("simple-update", OpClass.WRITE)
TPCB_LIKE = Operation("tpcb-like", OpClass.WRITE)

_SELECT = "SELECT abalance FROM pgbench_accounts WHERE aid = $1"
_UPDATE_ACCOUNT = "UPDATE pgbench_accounts SET abalance = abalance + $1 WHERE aid = $2"
_UPDATE_TELLER = "UPDATE pgbench_tellers SET tbalance = tbalance + $1 WHERE tid = $2"
_UPDATE_BRANCH = "UPDATE pgbench_branches SET bbalance = bbalance + $1 WHERE bid = $2"
_HISTORY = "INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES ($1, $2, $3, $4, CURRENT_TIMESTAMP)"


def select(scale: int) -> Opener:
    """select-only: one account's balance by primary key."""

    async def opener(connection: Any, rng: random.Random) -> Call:
        fetch = await prepared(connection, _SELECT)
        draw, accounts = rng.random, ACCOUNTS * scale

        async def call(attempt: Attempt) -> None:
            await fetch(int(draw() * accounts) + 1)

        return call

    return opener


def transaction(scale: int, *, full: bool) -> Opener:
    """simple-update, or tpcb-like when ``full``: the latter updates the teller and the branch too."""

    async def opener(connection: Any, rng: random.Random) -> Call:
        execute = connection.execute
        update = await prepared(connection, _UPDATE_ACCOUNT)
        select = await prepared(connection, _SELECT)
        history = await prepared(connection, _HISTORY)
        teller = await prepared(connection, _UPDATE_TELLER) if full else None
        branch = await prepared(connection, _UPDATE_BRANCH) if full else None
        draw = rng.random

        async def call(attempt: Attempt) -> None:
            aid = int(draw() * ACCOUNTS * scale) + 1
            tid = int(draw() * TELLERS * scale) + 1
            bid = int(draw() * scale) + 1
            delta = int(draw() * 10_001) - 5_000
            await execute("BEGIN")
            await update(delta, aid)
            await select(aid)
            if teller is not None and branch is not None:
                await teller(delta, tid)
                await branch(delta, bid)
            await history(tid, bid, aid, delta)
            attempt.effect_sent = True
            await execute("COMMIT")

        return call

    return opener
