"""SQL beside the load: looking at the cluster, making data, reading the ledger.

Uses psycopg, while the load uses asyncpg: what watches an experiment shares no
driver with what is watched, and psycopg speaks the simple protocol, by which
alone Pgpool answers its own commands (``SHOW POOL_NODES``).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg.rows import DictRow, dict_row

from chaosbench.errors import UndeterminedError
from chaosbench.model.cluster import Address, Login

# It warns of every connection that is dropped here on purpose.
logging.getLogger("psycopg").setLevel(logging.ERROR)

_APPLICATION = "chaosbench-control"


class Connection(psycopg.AsyncConnection[DictRow]):
    """A connection that does not negotiate with a peer that may be frozen."""

    async def cancel_safe(self, *, timeout: float = 0) -> None:
        """Drop the connection: psycopg would ask the server to cancel, and wait up to 10 s for it."""
        self.pgconn.finish()


class QueryError(UndeterminedError):
    """The server refused, broke off or stayed silent; the text says which."""


async def connect(address: Address, login: Login, application: str) -> Connection:
    """A connection in autocommit mode; ``application`` is what the server calls it. Use :func:`answering` around it."""
    return await Connection.connect(
        host=address.host,
        port=address.port,
        user=login.user,
        password=login.password,
        dbname=login.database,
        autocommit=True,
        sslmode="disable",
        gssencmode="disable",
        application_name=application,
        cursor_factory=psycopg.AsyncRawCursor,
        row_factory=dict_row,
    )


@asynccontextmanager
async def answering(address: Address, timeout: float) -> AsyncIterator[None]:
    """The block has ``timeout`` seconds, and whatever goes wrong with the server inside it is a QueryError."""
    try:
        async with asyncio.timeout(timeout):
            yield
    except TimeoutError:
        raise QueryError(f"{address} did not answer within {timeout:g} s") from None
    except (OSError, psycopg.Error) as error:
        raise QueryError(f"{address}: {one_line(error)}") from error


@asynccontextmanager
async def connected(address: Address, login: Login, timeout: float) -> AsyncIterator[Connection]:
    """A connection for at most ``timeout`` seconds, everything included.

    QueryError for whatever goes wrong with the server, inside the block too.
    """
    async with answering(address, timeout):
        connection = await connect(address, login, _APPLICATION)
        try:
            yield connection
        finally:
            await connection.close()  # psycopg closes without waiting for the peer


async def fetch(
    address: Address, login: Login, sql: str, *args: object, timeout: float = 1.0
) -> tuple[Mapping[str, Any], ...]:
    """The rows of one statement, each by column name; ``$1``, ``$2``, ... are its arguments."""
    async with connected(address, login, timeout) as connection:
        cursor = await connection.execute(sql, args or None)
        return tuple(await cursor.fetchall())


def one_line(error: BaseException) -> str:
    """An error's text without its line breaks, or its class where it has none."""
    return " ".join(str(error).split()) or type(error).__name__
