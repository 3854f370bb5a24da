"""SQL beside the load ends in time, whatever the server does: a frozen one accepts everything and stays silent."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from chaosbench import postgres
from chaosbench.model.cluster import Address, Login

pytestmark = pytest.mark.asyncio

LOGIN = Login("chaosbench", "secret", "chaosbench")
WELCOME = b"R\0\0\0\x08\0\0\0\0" + b"K\0\0\0\x0c\0\0\0\x01\0\0\0\x02" + b"Z\0\0\0\x05I"


@asynccontextmanager
async def frozen_server(*, after_login: bool) -> AsyncIterator[Address]:
    """Reads whatever comes; answers nothing, or the login alone."""
    writers = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await reader.read(1000)
        if after_login:
            writer.write(WELCOME)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield Address("127.0.0.1", server.sockets[0].getsockname()[1])
    server.close()
    for writer in writers:
        writer.close()


@pytest.mark.parametrize("after_login", [False, True])
async def test_a_frozen_server_is_given_up_in_time(after_login: bool):
    async with frozen_server(after_login=after_login) as address:
        start = time.monotonic()
        with pytest.raises(postgres.QueryError, match=r"did not answer within 0\.2 s"):
            await postgres.fetch(address, LOGIN, "SHOW POOL_NODES", timeout=0.2)
        assert time.monotonic() - start < 1


async def test_nobody_listens():
    with pytest.raises(postgres.QueryError, match=r"127\.0\.0\.1:1: "):
        await postgres.fetch(Address("127.0.0.1", 1), LOGIN, "SELECT 1", timeout=2)
