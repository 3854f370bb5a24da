"""A small PostgreSQL of the test's own, and a proxy before it that does to connections what the test says.

Both run inside the test's process, so that every instant is on the clock of the
engine under test; they share no code with it. The server speaks enough of the
protocol for asyncpg: start-up, simple queries, prepare, bind, execute.
"""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

INT4, INT8, TEXT, PG_LSN = 23, 20, 25, 3220
SSL_REQUEST = 80877103
STAGGER = 0.004
"""Seconds between two new connections that are let go after a black hole: all at once would hold this very loop."""


def message(kind: bytes, body: bytes = b"") -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


Columns = tuple[tuple[int, bytes], ...]
"""Of the one row of an answer: each column's type, and its value in binary."""
SELECTED: Columns = ((INT4, struct.pack("!i", 7)),)
RETURNED: Columns = ((TEXT, b"10.0.0.1/00000001"), (PG_LSN, struct.pack("!q", 1000)))
"""What the ledger's insert returns: who serves, and a WAL position."""


def row_description(columns: Columns) -> bytes:
    # No table, any length, no modifier, in binary.
    each = (b"value\0" + struct.pack("!ihihih", 0, 0, oid, -1, -1, 1) for oid, _ in columns)
    return message(b"T", struct.pack("!h", len(columns)) + b"".join(each))


def data_row(columns: Columns) -> bytes:
    each = (struct.pack("!i", len(value)) + value for _, value in columns)
    return message(b"D", struct.pack("!h", len(columns)) + b"".join(each))


def columns_of(sql: str) -> Columns:
    if sql.lstrip().upper().startswith("SELECT"):
        return SELECTED
    return RETURNED if " RETURNING " in " ".join(sql.split()).upper() else ()


@dataclass(frozen=True, slots=True)
class Prepared:
    sql: str
    parameters: int
    columns: Columns


class Postgres:
    """Answers everything at once. ``executed`` are the instants of what it did, by application."""

    def __init__(self, now: Callable[[], int]) -> None:
        self.now = now
        self.executed: list[tuple[int, str]] = []
        self._server: asyncio.Server | None = None

    async def start(self) -> int:
        self._server = await asyncio.get_running_loop().create_server(lambda: Backend(self), "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    def stop(self) -> None:
        assert self._server is not None
        self._server.close()


class Backend(asyncio.Protocol):
    """One connection of :class:`Postgres`."""

    def __init__(self, server: Postgres) -> None:
        self._server = server
        self._buffer = b""
        self._started = False
        self._application = ""
        self._prepared: dict[bytes, Prepared] = {}
        self._portals: dict[bytes, Prepared] = {}
        self._status = b"I"
        self._out = bytearray()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        for kind, body in self._messages():
            if kind == b"X":
                self._transport.close()
                return
            getattr(self, f"_{kind.decode()}")(body)
        if self._out:
            self._transport.write(bytes(self._out))
            self._out.clear()

    def _messages(self) -> Iterator[tuple[bytes, bytes]]:
        while True:
            head = 0 if not self._started else 1
            if len(self._buffer) < head + 4:
                return
            length = struct.unpack_from("!i", self._buffer, head)[0] + head
            if len(self._buffer) < length:
                return
            kind, body = self._buffer[:head] or b"start", self._buffer[head + 4 : length]
            self._buffer = self._buffer[length:]
            yield kind, body

    def _start(self, body: bytes) -> None:
        if struct.unpack_from("!i", body)[0] == SSL_REQUEST:
            self._out += b"N"
            return
        self._started = True
        words = body[4:].split(b"\0")
        given = dict(zip(words[::2], words[1::2], strict=False))
        self._application = given.get(b"application_name", b"").decode()
        self._out += message(b"R", struct.pack("!i", 0))
        for name, value in ((b"server_version", b"17.0"), (b"client_encoding", b"UTF8"), (b"TimeZone", b"UTC")):
            self._out += message(b"S", name + b"\0" + value + b"\0")
        self._out += message(b"K", struct.pack("!ii", 1, 1))
        self._S(b"")

    def _P(self, body: bytes) -> None:  # noqa: N802 - the protocol's own letters
        name, sql, _ = body.split(b"\0", 2)
        text = sql.decode()
        numbers = [int(number) for number in re.findall(r"\$(\d+)", text)]
        self._prepared[name] = Prepared(text, max(numbers, default=0), columns_of(text))
        self._out += message(b"1")

    def _D(self, body: bytes) -> None:  # noqa: N802
        known = self._prepared[body[1:-1]] if body[:1] == b"S" else self._portals[body[1:-1]]
        if body[:1] == b"S":
            self._out += message(
                b"t", struct.pack(f"!h{known.parameters}i", known.parameters, *[INT8] * known.parameters)
            )
        self._out += row_description(known.columns) if known.columns else message(b"n")

    def _B(self, body: bytes) -> None:  # noqa: N802
        portal, name, _ = body.split(b"\0", 2)
        self._portals[portal] = self._prepared[name]
        self._out += message(b"2")

    def _E(self, body: bytes) -> None:  # noqa: N802
        known = self._portals[body.split(b"\0", 1)[0]]
        self._server.executed.append((self._server.now(), self._application))
        if known.columns:
            self._out += data_row(known.columns)
        self._out += message(b"C", b"SELECT 1\0" if known.columns is SELECTED else b"INSERT 0 1\0")

    def _C(self, body: bytes) -> None:  # noqa: N802
        self._out += message(b"3")

    def _H(self, body: bytes) -> None:  # noqa: N802
        """Flush: what there is goes out anyway."""

    def _S(self, body: bytes) -> None:  # noqa: N802
        self._out += message(b"Z", self._status)

    def _Q(self, body: bytes) -> None:  # noqa: N802
        sql = body[:-1].decode()
        self._status = {"BEGIN": b"T"}.get(sql, b"I")
        self._server.executed.append((self._server.now(), self._application))
        self._out += message(b"C", sql.encode() + b"\0")
        self._S(b"")


@dataclass
class Proxy:
    """Hands bytes on; or holds them, delays the answers, refuses and resets connections.

    What it saw itself is the witness: ``failed_connects`` are connections that it
    reset before their client had got anything, from accepted to reset;
    ``given_up`` are requests whose client hung up before it had an answer, from
    the first byte to the end.
    """

    now: Callable[[], int]
    upstream: int
    dark: bool = False
    refusing: bool = False
    delay: float = 0.0
    failed_connects: list[tuple[int, int]] = field(default_factory=list)
    given_up: list[tuple[int, int]] = field(default_factory=list)
    fronts: set[Front] = field(default_factory=set)

    async def start(self) -> int:
        self._server = await asyncio.get_running_loop().create_server(lambda: Front(self), "127.0.0.1", 0, backlog=500)
        return int(self._server.sockets[0].getsockname()[1])

    def stop(self) -> None:
        self._server.close()
        for front in tuple(self.fronts):
            front.reset()

    def black_hole(self) -> None:
        """Everything is taken and nothing answered, new connections included."""
        self.dark = True

    def let_go(self) -> None:
        """What was held goes on its way: first the old connections, then the new ones, one after the other."""
        self.dark = False
        waiting = []
        for front in tuple(self.fronts):
            if front.back is None:
                waiting.append(front)
            else:
                front.flush()
        for number, front in enumerate(waiting):
            asyncio.get_running_loop().call_later(number * STAGGER, front.connect)

    def reset_all(self) -> None:
        """Every connection is reset."""
        for front in tuple(self.fronts):
            front.reset()

    async def reset_busy(self) -> None:
        """Every connection whose client waits for an answer is reset, those not answered yet at all first.

        One after the other: all their clients at once would hold this very loop for 10 ms.
        """
        began_ns = self.now()
        for front in tuple(self.fronts):
            if not front.answered:
                front.reset()
                await asyncio.sleep(0.001)
        # Not those that have connected meanwhile: they are whole again.
        while busy := [f for f in self.fronts if f.answered and f.waited_for and f.accepted_ns < began_ns]:
            busy[0].reset()
            await asyncio.sleep(0.001)


class Front(asyncio.Protocol):
    """A client's connection."""

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        self.back: Back | None = None
        self.up: list[bytes] = []
        self.down: list[bytes] = []
        self.answered = False
        self.waited_for = True
        self.asked_ns = 0
        self._release_s = 0.0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.accepted_ns = self.proxy.now()
        self.proxy.fronts.add(self)
        if self.proxy.refusing:
            self.reset()
        elif not self.proxy.dark:
            self.connect()

    def connect(self) -> None:
        """Connect to the server, now that this client may be served."""
        if self in self.proxy.fronts and not self.proxy.dark:
            self._connecting = asyncio.get_running_loop().create_task(self._connect())

    async def _connect(self) -> None:
        with suppress(OSError):
            await asyncio.get_running_loop().create_connection(lambda: Back(self), "127.0.0.1", self.proxy.upstream)

    def data_received(self, data: bytes) -> None:
        if not self.waited_for:
            self.waited_for, self.asked_ns = True, self.proxy.now()
        self.up.append(data)
        self.flush()

    def answer(self, data: bytes) -> None:
        """Bytes from the server."""
        loop = asyncio.get_running_loop()
        self._release_s = max(self._release_s, loop.time() + self.proxy.delay)
        if self._release_s <= loop.time():
            self.down.append(data)
            self.flush()
        else:
            loop.call_at(self._release_s, lambda: (self.down.append(data), self.flush()))

    def flush(self) -> None:
        if self.proxy.dark or self.back is None or self not in self.proxy.fronts:
            return
        if self.up:
            self.back.transport.write(b"".join(self.up))
            self.up.clear()
        if self.down:
            self.answered = True
            self.waited_for = False
            self.transport.write(b"".join(self.down))
            self.down.clear()

    def reset(self) -> None:
        """RST, not FIN."""
        if self not in self.proxy.fronts:
            return
        if not self.answered:
            self.proxy.failed_connects.append((self.accepted_ns, self.proxy.now()))
        self._forget()
        sock = self.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if self in self.proxy.fronts and self.answered and self.waited_for:
            self.proxy.given_up.append((self.asked_ns, self.proxy.now()))
        self._forget()

    def _forget(self) -> None:
        self.proxy.fronts.discard(self)
        if self.back is not None:
            self.back.transport.abort()


class Back(asyncio.Protocol):
    """The proxy's own connection to the server, for one client."""

    def __init__(self, front: Front) -> None:
        self.front = front

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        if self.front not in self.front.proxy.fronts:
            transport.abort()
            return
        self.front.back = self
        self.front.flush()

    def data_received(self, data: bytes) -> None:
        self.front.answer(data)
