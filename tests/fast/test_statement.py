"""A prepared statement run by the short way: executed once each time, its errors those of the driver."""

from __future__ import annotations

import asyncio
import gc
from types import SimpleNamespace
from typing import Any

import pytest
from asyncpg.prepared_stmt import PreparedStatement

from chaosbench.engine.session import DRIVER_ERRORS
from chaosbench.engine.statement import prepared
from tests.stalling import stalling

SQL = "SELECT abalance FROM t WHERE aid = $1"


async def test_each_call_is_one_execution(monkeypatch: pytest.MonkeyPatch):
    def never(*args: object) -> None:
        raise AssertionError("the long way was taken: asyncpg is built otherwise now")

    async with stalling(2) as (connection, other):
        run = await prepared(connection, SQL)
        monkeypatch.setattr(PreparedStatement, "fetchval", never)
        gc.collect()
        for aid in (7, 8, 9):
            await run(aid)
        assert await other.execute("COUNT") == "COUNT 3 0"


async def test_it_ends_with_its_connection_as_any_query_does():
    async with stalling(2) as (connection, other):
        run = await prepared(connection, SQL)
        await other.execute("STALL")
        under_way = asyncio.ensure_future(run(7))
        await asyncio.sleep(0.05)
        assert await other.execute("COUNT") == "COUNT 0 1"
        connection.terminate()
        with pytest.raises(DRIVER_ERRORS):
            await asyncio.wait_for(under_way, 5)
        with pytest.raises(DRIVER_ERRORS):
            await run(7)


async def test_an_argument_that_does_not_fit_is_refused_and_the_connection_stays_good():
    async with stalling(1) as (connection,):
        run = await prepared(connection, SQL)
        with pytest.raises(DRIVER_ERRORS):
            await run("seven")
        await run(7)


async def test_another_driver_is_called_by_its_public_method():
    called: list[tuple[object, ...]] = []

    async def fetchval(*args: object) -> None:
        called.append(args)

    async def prepare(sql: str) -> Any:
        return SimpleNamespace(fetchval=fetchval)

    run = await prepared(SimpleNamespace(prepare=prepare), SQL)
    await run(7)
    assert called == [(7,)]
