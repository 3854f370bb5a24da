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


class Connection(psycopg.AsyncConnection[DictRow]):
    """A connection that does not negotiate with a peer that may be frozen."""

    async def cancel_safe(self, *, timeout: float = 0) -> None:
        """Drop the connection: psycopg would ask the server to cancel, and wait up to 10 s for it."""
        self.pgconn.finish()


class QueryError(UndeterminedError):
    """The server refused, broke off or stayed silent; the text says which."""


@asynccontextmanager
async def connected(address: Address, login: Login, timeout: float) -> AsyncIterator[Connection]:
    """A connection in autocommit mode for at most ``timeout`` seconds, everything included.

    QueryError for whatever goes wrong with the server, inside the block too.
    """
    connection: Connection | None = None
    try:
        async with asyncio.timeout(timeout):
            connection = await _connect(address, login)
            yield connection
    except TimeoutError:
        raise QueryError(f"{address} did not answer within {timeout:g} s") from None
    except (OSError, psycopg.Error) as error:
        raise QueryError(f"{address}: {one_line(error)}") from error
    finally:
        if connection is not None:
            await connection.close()  # psycopg closes without waiting for the peer


async def _connect(address: Address, login: Login) -> Connection:
    return await Connection.connect(
        host=address.host,
        port=address.port,
        user=login.user,
        password=login.password,
        dbname=login.database,
        autocommit=True,
        sslmode="disable",
        application_name="chaosbench-control",
        cursor_factory=psycopg.AsyncRawCursor,
        row_factory=dict_row,
    )


class Kept:
    """A connection that is kept from one question to the next, and made anew after trouble."""

    def __init__(self, address: Address, login: Login) -> None:
        self._address = address
        self._login = login
        self._connection: Connection | None = None

    async def row(self, sql: str, timeout: float = 1.0) -> Mapping[str, Any]:
        """The first row of one statement, within so many seconds, connecting included. Raises QueryError."""
        try:
            async with asyncio.timeout(timeout):
                if self._connection is None:
                    self._connection = await _connect(self._address, self._login)
                row = await (await self._connection.execute(sql.encode())).fetchone()
        except TimeoutError:
            await self.close()
            raise QueryError(f"{self._address} did not answer within {timeout:g} s") from None
        except (OSError, psycopg.Error) as error:
            await self.close()
            raise QueryError(f"{self._address}: {one_line(error)}") from error
        assert row is not None, "asked for a row where there may be none"
        return row

    async def close(self) -> None:
        """Drop the connection; the next question makes a new one."""
        connection, self._connection = self._connection, None
        if connection is not None:
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
