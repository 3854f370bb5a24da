"""A server that speaks enough of PostgreSQL's protocol for asyncpg and the ledger's insert, and remembers the rows."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bench.stand_in import ROW, Backend, Server, message
from chaosbench.engine.session import PostgresConnect
from chaosbench.model.cluster import Address, Login

MARK = b"10.0.0.1/00000001"
_INT8, _TEXT, _LSN = 20, 25, 3220
_COLUMNS = (
    struct.pack("!h", 2)
    + b"mark\0"
    + struct.pack("!ihihih", 0, 0, _TEXT, -1, -1, 1)
    + b"lsn\0"
    + struct.pack("!ihihih", 0, 0, _LSN, 8, -1, 1)
)


class LedgerServer(Server):
    """``rows``: ids whose insert was executed; ``connections``: those that are open."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[int] = []
        self.connections: set[LedgerBackend] = set()
        self.address = Address("127.0.0.1", 0)

    def connect(self, timeout: float = 5.0) -> PostgresConnect:
        return PostgresConnect(self.address, Login("test", "", "test"), "test", timeout)


class LedgerBackend(Backend):
    """One connection: the statement prepared last is the one that is bound."""

    def __init__(self, server: LedgerServer) -> None:
        super().__init__(server)
        self._ledger = server
        self._inserts = False
        self._bound = 0
        self.peer = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.peer = transport.get_extra_info("peername")[0]
        self._ledger.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._ledger.connections.discard(self)

    def _take(self, kind: bytes, body: bytes) -> None:
        if kind == b"P":
            self._inserts = b"chaosbench_ledger" in body
        if not self._inserts or kind not in b"PBDE" or not kind:
            super()._take(kind, body)
            return
        match kind:
            case b"P":
                self._reply += message(b"1")
            case b"D":
                self._reply += message(b"t", struct.pack("!hii", 2, _INT8, _INT8)) + message(b"T", _COLUMNS)
            case b"B":
                self._bound = _second_parameter(body)
                self._reply += message(b"2")
            case b"E":
                self._ledger.rows.append(self._bound)
                row = struct.pack("!hi", 2, len(MARK)) + MARK + struct.pack("!iq", 8, 100 * len(self._ledger.rows))
                self._reply += message(b"D", row) + ROW[-len(message(b"C", b"SELECT 1\0")) :]
                self._executes = True


def _second_parameter(body: bytes) -> int:
    """Of a bind message with two int8 in binary."""
    at = body.index(b"\0") + 1
    at = body.index(b"\0", at) + 1
    (formats,) = struct.unpack_from("!h", body, at)
    at += 2 + 2 * formats + 2
    value: int = struct.unpack_from("!iqiq", body, at)[3]
    return value


@asynccontextmanager
async def listening(host: str = "127.0.0.1") -> AsyncIterator[LedgerServer]:
    """The server, for the length of the block."""
    state = LedgerServer()
    listener = await asyncio.get_running_loop().create_server(lambda: LedgerBackend(state), host, 0)
    state.address = Address(host, listener.sockets[0].getsockname()[1])
    async with listener:
        yield state
