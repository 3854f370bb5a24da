"""Connections of asyncpg to the bench's own server, in this very loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from bench.stand_in import Backend, Server


@asynccontextmanager
async def stalling(connections: int) -> AsyncIterator[list[Any]]:
    """So many connections; the server is told to stall, and to go on, over any of them."""
    server = Server()
    listener = await asyncio.get_running_loop().create_server(lambda: Backend(server), "127.0.0.1", 0)
    async with listener:
        port = listener.sockets[0].getsockname()[1]
        opened = [
            await asyncpg.connect(host="127.0.0.1", port=port, user="u", database="d", ssl=False)
            for _ in range(connections)
        ]
        try:
            yield opened
        finally:
            for connection in opened:
                connection.terminate()
            await asyncio.sleep(0)
