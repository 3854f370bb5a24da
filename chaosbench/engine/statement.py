"""A prepared statement whose answer nobody looks at, with as little of the driver before it as there can be."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

Statement = Callable[..., Awaitable[object]]
"""Called with the statement's arguments; awaited, it has been executed."""


async def prepared(connection: Any, sql: str) -> Statement:
    """Prepare a statement on one of asyncpg's connections.

    ``PreparedStatement.fetchval`` makes three coroutines, two wrappers and a closure of its own for every query before
    the protocol gets it (docs/benchmarks.md says what that costs). They are left out where asyncpg is built as
    the versions are that this was written for; where it is not, its public method is taken.
    """
    statement = await connection.prepare(sql)
    try:
        execute, _ = connection._protocol.bind_execute, statement._state
    except AttributeError:
        public: Statement = statement.fetchval
        return public

    def run(*args: object) -> Awaitable[object]:
        # Through the statement, for asyncpg closes it on the server when it is not referred to any more.
        found: Awaitable[object] = execute(statement._state, args, "", 1, False, None)
        return found

    return run
