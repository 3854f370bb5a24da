"""One connection: making it, and reading what its exceptions mean.

The only place, with the workloads and :mod:`chaosbench.postgres`, that knows asyncpg.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import asyncpg

from chaosbench.model.cluster import Address, Login

DRIVER_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)
"""Everything by which a query can end badly; anything else is a defect and ends the run."""

Connect = Callable[[float], Awaitable[Any]]
"""Makes one connection within the given seconds; what it returns looks like asyncpg's Connection."""


@dataclass(frozen=True, slots=True)
class PostgresConnect:
    """Connects to PostgreSQL (here: through Pgpool).

    statement_timeout:  seconds after which the server gives up by itself; a
                        little below the client's, so that a slow statement ends
                        as 57014 and not as an unknown outcome
    """

    address: Address
    login: Login
    application: str
    statement_timeout: float

    async def __call__(self, timeout: float) -> Any:
        return await asyncpg.connect(
            host=self.address.host,
            port=self.address.port,
            user=self.login.user,
            password=self.login.password,
            database=self.login.database,
            ssl=False,
            timeout=timeout,
            server_settings={
                "application_name": self.application,
                "statement_timeout": str(round(self.statement_timeout * 1000)),
            },
        )


def sqlstate_of(error: BaseException) -> str | None:
    """The SQLSTATE the server gave, looking through asyncpg's own "connection was closed" to its cause."""
    cause = error.__cause__
    if isinstance(cause, asyncpg.PostgresError):
        return sqlstate_of(cause)
    if isinstance(error, asyncpg.ConnectionDoesNotExistError | asyncpg.ConnectionFailureError):
        return None
    state = getattr(error, "sqlstate", None)
    return state if isinstance(state, str) else None


def reason_of(error: BaseException) -> str:
    """A label for the error with few possible values: an SQLSTATE, or a short class name."""
    state = sqlstate_of(error)
    if state is not None:
        return state
    if isinstance(error, TimeoutError | asyncio.TimeoutError):
        return "timeout"
    if isinstance(error, asyncpg.ConnectionDoesNotExistError | asyncpg.ConnectionFailureError):
        return "connection_lost"
    return type(error).__name__
