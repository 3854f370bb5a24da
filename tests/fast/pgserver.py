"""Enough of PostgreSQL's protocol for observers: it answers, refuses, freezes, breaks off, as the test says."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from chaosbench.model.cluster import Address, Login

LOGIN = Login("chaosbench", "secret", "chaosbench")
Rows = list[tuple[str | None, ...]]


class SqlError(Exception):
    """The server says no; the connection goes on."""


class PgServer:
    """``answer`` gives a statement's rows or raises SqlError."""

    def __init__(self, answer: Callable[[str], Rows]) -> None:
        self.answer = answer
        self.thawed = asyncio.Event()
        self.thawed.set()
        self.accepts = True
        self.connects = 0
        self.statements: list[str] = []
        self.writers: set[asyncio.StreamWriter] = set()
        self.address = Address("127.0.0.1", 0)

    def freeze(self) -> None:
        self.thawed.clear()

    def thaw(self) -> None:
        self.thawed.set()

    def break_off(self) -> None:
        """Every connection ends."""
        for writer in tuple(self.writers):
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connects += 1
        self.writers.add(writer)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await self.session(reader, writer)
        finally:
            self.writers.discard(writer)
            writer.close()

    async def session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        (length,) = struct.unpack("!i", await reader.readexactly(4))
        await reader.readexactly(length - 4)
        await self.thawed.wait()
        if not self.accepts:
            writer.write(error("57P03", "the database system is starting up", fatal=True))
            return
        writer.write(message(b"R", struct.pack("!i", 0)) + ready())
        prepared = ""
        while True:
            kind = await reader.readexactly(1)
            (length,) = struct.unpack("!i", await reader.readexactly(4))
            body = await reader.readexactly(length - 4)
            await self.thawed.wait()
            match kind:
                case b"Q":
                    writer.write(self.run(body[:-1].decode()) + ready())
                case b"P":
                    prepared = body[1:].split(b"\0")[0].decode()
                    writer.write(message(b"1", b""))
                case b"B":
                    writer.write(message(b"2", b""))
                case b"E":
                    writer.write(self.run(prepared))
                case b"S":
                    writer.write(ready())
                case b"X":
                    return

    def run(self, sql: str) -> bytes:
        self.statements.append(sql)
        try:
            rows = self.answer(sql)
        except SqlError as refusal:
            return error("25006", str(refusal))
        width = len(rows[0]) if rows else 0
        column = b"c\0" + struct.pack("!ihihih", 0, 0, 25, -1, -1, 0)
        described = message(b"T", struct.pack("!h", width) + column * width) if rows else b""
        return described + b"".join(row(values) for values in rows) + message(b"C", b"OK\0")


def message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


def ready() -> bytes:
    return message(b"Z", b"I")


def error(code: str, text: str, fatal: bool = False) -> bytes:
    severity = "FATAL" if fatal else "ERROR"
    return message(b"E", f"S{severity}\0V{severity}\0C{code}\0M{text}\0\0".encode())


def row(values: tuple[str | None, ...]) -> bytes:
    cells = [
        struct.pack("!i", -1) if value is None else struct.pack("!i", len(value)) + value.encode() for value in values
    ]
    return message(b"D", struct.pack("!h", len(values)) + b"".join(cells))


@asynccontextmanager
async def listening(server: PgServer) -> AsyncIterator[PgServer]:
    """The server, reachable at its ``address`` for the length of the block."""
    listener = await asyncio.start_server(server.serve, "127.0.0.1", server.address.port)
    server.address = Address("127.0.0.1", listener.sockets[0].getsockname()[1])
    try:
        yield server
    finally:
        listener.close()
        server.thaw()
        server.break_off()
        await asyncio.sleep(0)
