"""Serves the metrics, and what else is given to it, on 127.0.0.1, in the loop of the run."""

from __future__ import annotations

import errno
from collections.abc import Awaitable, Callable, Sequence

from aiohttp import web

from chaosbench.errors import PreflightError

HOST = "127.0.0.1"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_GOODBYE_S = 0.5


class MetricsServer:
    """``GET /metrics`` answers with what ``render`` returns; ``routes`` are answered beside it."""

    def __init__(
        self, render: Callable[[], Awaitable[bytes]], port: int, routes: Sequence[web.AbstractRouteDef] = ()
    ) -> None:
        self._render = render
        self._routes = routes
        self._asked_port = port
        self._runner: web.AppRunner | None = None

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

    async def stop(self) -> None:
        """Stop listening; harmless when it never did."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def _metrics(self, request: web.Request) -> web.Response:
        return web.Response(body=await self._render(), headers={"Content-Type": CONTENT_TYPE})

    def _complaint(self, error: OSError) -> str:
        if error.errno == errno.EADDRINUSE:
            return (
                f"no live metrics: port {self._asked_port} on {HOST} is in use, perhaps by another chaosbench run; "
                "end that program or choose another port with --metrics-port"
            )
        return f"no live metrics: cannot listen on {HOST}:{self._asked_port}: {error.strerror or error}"
