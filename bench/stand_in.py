"""A server that speaks just enough of PostgreSQL's protocol for asyncpg, answers at once, and stalls on demand.

It listens on 127.0.0.1, prints its port, and ends when its standard input does.
Statements with a result give one row with one ``int4``. Three commands, sent
as simple queries over any connection, steer it:

``STALL``     from now on it reads, and answers no execution
``RELEASE``   it answers all of them, in the order in which they came
``COUNT``     its command tag says how many executions it has answered and how many it holds
"""

from __future__ import annotations

import asyncio
import struct
import sys
from collections import deque
from typing import cast

import uvloop

BACKLOG = 4096
_INT4 = 23


def message(kind: bytes, body: bytes = b"") -> bytes:
    """One message of the protocol."""
    return kind + struct.pack("!i", len(body) + 4) + body


def parameter(name: str, value: str) -> bytes:
    """A setting that the server tells of itself."""
    return message(b"S", f"{name}\0{value}\0".encode())


READY = message(b"Z", b"I")
GREETING = (
    message(b"R", struct.pack("!i", 0))
    + parameter("server_version", "17.0")
    + parameter("server_encoding", "UTF8")
    + parameter("client_encoding", "UTF8")
    + parameter("integer_datetimes", "on")
    + parameter("standard_conforming_strings", "on")
    + READY
)
COLUMN = b"abalance\0" + struct.pack("!ihihih", 0, 0, _INT4, 4, -1, 1)
DESCRIBED = message(b"T", struct.pack("!h", 1) + COLUMN)
ANSWERS = {b"B": message(b"2"), b"C": message(b"3"), b"D": DESCRIBED}
"""To bind, close and describe: always the same. A terminating client closes the connection itself."""
ROW = message(b"D", struct.pack("!hii", 1, 4, 0)) + message(b"C", b"SELECT 1\0")


class Server:
    """What all connections share: what is held back, and how much was answered."""

    def __init__(self) -> None:
        self.stalling = False
        self.held: deque[tuple[asyncio.WriteTransport, bytes]] = deque()
        self.answered = 0

    def answer(self, transport: asyncio.WriteTransport, reply: bytes) -> None:
        """Answer an execution, or hold the answer back."""
        if self.stalling:
            self.held.append((transport, reply))
            return
        self.answered += 1
        transport.write(reply)

    def command(self, text: str) -> str:
        """Do what a simple query says; its command tag."""
        if text == "STALL":
            self.stalling = True
        elif text == "RELEASE":
            self.stalling = False
            # After the answer to this command: whoever gave it wants to know when it was heard.
            asyncio.get_running_loop().call_soon(self._release)
        return f"COUNT {self.answered} {len(self.held)}"

    def _release(self) -> None:
        while self.held:
            self.answer(*self.held.popleft())


class Backend(asyncio.Protocol):
    """One connection."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._read = bytearray()
        self._reply = b""
        self._started = self._executes = False
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's does not say so

    def data_received(self, data: bytes) -> None:
        self._read += data
        while (whole := self._next()) is not None:
            self._take(*whole)

    def _next(self) -> tuple[bytes, bytes] | None:
        """The next message that is there in full; the very first has no kind."""
        head = 1 if self._started else 0
        if len(self._read) < head + 4:
            return None
        (length,) = struct.unpack_from("!i", self._read, head)
        if len(self._read) < head + length:
            return None
        kind, body = bytes(self._read[:head]), bytes(self._read[head + 4 : head + length])
        del self._read[: head + length]
        return kind, body

    def _take(self, kind: bytes, body: bytes) -> None:
        match kind:
            case b"E":
                self._reply += ROW
                self._executes = True
            case b"S":
                self._send(READY)
            case b"H":
                self._send(b"")
            case b"Q":
                self._send(message(b"C", self._server.command(body[:-1].decode()).encode() + b"\0") + READY)
            case b"P":
                parameters = body.count(b"$")
                types = struct.pack(f"!h{parameters}i", parameters, *[_INT4] * parameters)
                self._reply += message(b"1") + message(b"t", types)
            case b"":
                self._started = True
                self._send(GREETING)
            case _:
                self._reply += ANSWERS.get(kind, b"")

    def _send(self, last: bytes) -> None:
        reply, executes = self._reply + last, self._executes
        self._reply, self._executes = b"", False
        assert self._transport is not None
        if executes:
            self._server.answer(self._transport, reply)
        else:
            self._transport.write(reply)


async def serve() -> None:
    """Listen until standard input ends."""
    loop = asyncio.get_running_loop()
    state = Server()
    listener = await loop.create_server(lambda: Backend(state), "127.0.0.1", 0, backlog=BACKLOG)
    async with listener:
        print(listener.sockets[0].getsockname()[1], flush=True)
        await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    uvloop.run(serve())
