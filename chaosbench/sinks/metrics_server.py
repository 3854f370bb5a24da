"""Serves the metrics, and what else is given to it, on 127.0.0.1, in the loop of the run."""

from __future__ import annotations

import asyncio
import errno
import math
from collections.abc import Awaitable, Callable, Sequence

from aiohttp import web

from chaosbench.errors import PreflightError

HOST = "127.0.0.1"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_GOODBYE_S = 0.5
_SELDOM_S = 15.0
"""Whoever comes by more seldom than this is not waited for."""


class MetricsServer:
    """``GET /metrics`` answers with what ``render`` returns; ``routes`` are answered beside it."""

    def __init__(
        self, render: Callable[[], Awaitable[bytes]], port: int, routes: Sequence[web.AbstractRouteDef] = ()
    ) -> None:
        self._render = render
        self._routes = routes
        self._asked_port = port
        self._runner: web.AppRunner | None = None
        self._visits: tuple[float, float] = (-math.inf, -math.inf)
        self._visited = asyncio.Event()

    @property
    def port(self) -> int:
        """The port that it listens on (chosen by the system when 0 was asked for)."""
        addresses = self._runner.addresses if self._runner else ()
        return int(addresses[0][1]) if addresses else self._asked_port

    async def start(self) -> None:
        """Listen. Raises :class:`PreflightError`, one line for the person at the terminal, when it cannot."""
        app = web.Application()
        app.router.add_get("/metrics", self._metrics)
        app.router.add_routes(self._routes)
        runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=_GOODBYE_S)
        await runner.setup()
        try:
            await web.TCPSite(runner, HOST, self._asked_port).start()
        except OSError as error:
            await runner.cleanup()
            raise PreflightError(self._complaint(error)) from error
        self._runner = runner

    async def last_look(self) -> None:
        """Wait for the next visit of someone who has been coming regularly; at most half as long again as usual."""
        before, last = self._visits
        pace = last - before
        if not pace <= _SELDOM_S or asyncio.get_running_loop().time() - last > 2 * pace:
            return
        self._visited.clear()
        try:
            async with asyncio.timeout(1.5 * pace + _GOODBYE_S):
                await self._visited.wait()
        except TimeoutError:
            return

    async def stop(self) -> None:
        """Stop listening; harmless when it never did."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def _metrics(self, request: web.Request) -> web.Response:
        page = await self._render()
        self._visits = (self._visits[1], asyncio.get_running_loop().time())
        self._visited.set()
        return web.Response(body=page, headers={"Content-Type": CONTENT_TYPE})

    def _complaint(self, error: OSError) -> str:
        if error.errno == errno.EADDRINUSE:
            return (
                f"no live metrics: port {self._asked_port} on {HOST} is in use, perhaps by another chaosbench run; "
                "end that program or choose another port with --metrics-port"
            )
        return f"no live metrics: cannot listen on {HOST}:{self._asked_port}: {error.strerror or error}"
