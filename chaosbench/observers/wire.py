"""One persistent SQL connection, asked one question at a time at little cost.

An observer asks hundreds of times a second on the loop that also carries the
load, so this goes to libpq's non-blocking calls directly: psycopg's cursors
cost twice as much CPU a question.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import psycopg
from psycopg.pq import ConnStatus, ExecStatus
from psycopg.pq.abc import PGresult

from chaosbench.model.cluster import Address, Login
from chaosbench.postgres import Connection, QueryError, answering, connect

_FINE = (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK)
Row = tuple[bytes | None, ...]


class Refused(QueryError):
    """The server refused the statement; the connection is usable."""


class Wire:
    """Open with :meth:`open`. After a QueryError other than Refused it is closed; open another one."""

    def __init__(self, connection: Connection, address: Address) -> None:
        self._pgconn = connection.pgconn
        self._connection = connection  # lives as long as this
        self._address = address
        self._loop = asyncio.get_running_loop()
        self._answer: asyncio.Future[PGresult | None] | None = None
        self._result: PGresult | None = None
        self._fd = self._pgconn.socket
        self._loop.add_reader(self._fd, self._readable)
        self.closed = False

    @classmethod
    async def open(cls, address: Address, login: Login, application: str, timeout: float) -> Wire:
        """Connect; QueryError when that fails or takes longer than ``timeout`` seconds."""
        async with answering(address, timeout):
            connection = await connect(address, login, application)
        return cls(connection, address)

    async def ask(self, sql: bytes, timeout: float) -> list[Row]:
        """The rows of one statement by the simple protocol, as text; QueryError otherwise, after which it is closed."""
        return await self._ask(lambda: self._pgconn.send_query(sql), timeout)

    async def prepare(self, sql: bytes, timeout: float) -> None:
        """Prepare the one statement that :meth:`ask_prepared` runs."""
        await self._ask(lambda: self._pgconn.send_prepare(b"", sql), timeout)

    async def ask_prepared(self, timeout: float) -> list[Row]:
        """As :meth:`ask`, without parsing and planning it again."""
        return await self._ask(lambda: self._pgconn.send_query_prepared(b"", None), timeout)

    def close(self) -> None:
        """Drop the connection without waiting for the peer."""
        if not self.closed:
            self.closed = True
            self._loop.remove_reader(self._fd)
            self._pgconn.finish()

    async def _ask(self, send: Callable[[], None], timeout: float) -> list[Row]:
        if self.closed:
            raise QueryError(f"{self._address}: the connection is closed")
        self._result = None
        self._answer = self._loop.create_future()
        try:
            async with answering(self._address, timeout):
                send()
                self._pgconn.flush()
                return self._rows(await self._answer)
        except Refused:
            raise
        except BaseException:
            self.close()
            raise
        finally:
            self._answer = None

    def _rows(self, result: PGresult | None) -> list[Row]:
        if result is not None and result.status in _FINE:
            columns = range(result.nfields)
            return [tuple(result.get_value(row, column) for column in columns) for row in range(result.ntuples)]
        said = "no answer" if result is None else " ".join(result.error_message.decode(errors="replace").split())
        if self._pgconn.status == ConnStatus.OK:
            raise Refused(f"{self._address}: {said}")
        raise psycopg.OperationalError(said)

    def _readable(self) -> None:
        """Take in what has come; with the last of it the question is answered."""
        try:
            self._pgconn.consume_input()
            while not self._pgconn.is_busy():
                result = self._pgconn.get_result()
                if result is None:
                    self._answered(None)
                    return
                self._result = result
        except psycopg.Error as error:
            self._answered(error)

    def _answered(self, error: psycopg.Error | None) -> None:
        waiting = self._answer
        if waiting is None:
            if error is not None:
                self.close()  # the peer is gone, and a closed socket stays readable for ever
        elif not waiting.done():
            if error is None:
                waiting.set_result(self._result)
            else:
                waiting.set_exception(error)
