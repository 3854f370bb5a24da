"""The page's addresses: its files, its stream, results of past runs, and stopping the run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from aiohttp import web

from chaosbench.sinks.page.feed import Feed, Full
from chaosbench.sinks.page.guard import REPORT_POLICY, allowed, guarded, safe, same_origin
from chaosbench.sinks.page.past import result_file, runs

STATIC = Path(__file__).with_name("static")
PAGE = "index.html"
SLOW_S = 10.0
"""A browser that does not take a message for so long is let go; it comes back by itself."""

_GONE = (ConnectionError, TimeoutError)


def chart_script() -> Path:
    """Plotly's script, where its package is installed. Its Python is not imported."""
    spec = find_spec("plotly")
    assert spec is not None and spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0]) / "package_data" / "plotly.min.js"


class Routes:
    """Answers browsers.

    out:    where results go
    token:  what a request to stop the run must carry
    abort:  asks for an early end
    """

    def __init__(self, feed: Feed, out: Path, token: str, abort: Callable[[], None]) -> None:
        self._feed = feed
        self._out = out
        self._token = token
        self._abort = abort
        self._files = {path.name: path for path in STATIC.iterdir()} | {"plotly.min.js": chart_script()}

    def table(self) -> tuple[web.AbstractRouteDef, ...]:
        """Every address."""
        return (
            web.get("/", guarded(self._page)),
            web.get("/page/{file}", guarded(self._file)),
            web.get("/page/api/stream", guarded(self._stream)),
            web.get("/page/api/runs", guarded(self._runs)),
            web.post("/page/api/abort", guarded(self._stop)),
            web.get("/runs/{run}/{file}", guarded(self._result)),
            web.get("/runs/{run}/{trial}/{file}", guarded(self._result)),
        )

    async def _page(self, request: web.Request) -> web.StreamResponse:
        return web.FileResponse(self._files[PAGE], headers=safe())

    async def _file(self, request: web.Request) -> web.StreamResponse:
        path = self._files.get(request.match_info["file"])
        if path is None:
            raise web.HTTPNotFound(text="the page has no such file\n")
        return web.FileResponse(path, headers=safe())

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers=safe({"Content-Type": "text/event-stream"}))
        messages = self._feed.messages()
        try:
            first = await anext(messages)
        except Full:
            raise web.HTTPServiceUnavailable(text="enough browsers are looking at this run already\n") from None
        try:
            await response.prepare(request)
            await _send(response, first)
            async for message in messages:
                await _send(response, message)
        except _GONE:
            pass  # the browser is gone, or does not listen: it asks again when it wants to
        finally:
            await messages.aclose()
        return response

    async def _runs(self, request: web.Request) -> web.StreamResponse:
        return web.json_response(await asyncio.to_thread(runs, self._out), headers=safe())

    async def _result(self, request: web.Request) -> web.StreamResponse:
        words = request.match_info
        path = await asyncio.to_thread(result_file, self._out, words["run"], words.get("trial", ""), words["file"])
        if path is None:
            raise web.HTTPNotFound(text="there is no such result\n")
        return web.FileResponse(path, headers=safe(policy=REPORT_POLICY))

    async def _stop(self, request: web.Request) -> web.StreamResponse:
        if not same_origin(request):
            raise web.HTTPForbidden(text="only this run's own page may stop it\n")
        if not allowed(request, self._token):
            raise web.HTTPForbidden(text="that is not the token that the terminal shows\n")
        self._abort()
        return web.json_response({"stopping": True}, headers=safe())


async def _send(response: web.StreamResponse, message: bytes) -> None:
    async with asyncio.timeout(SLOW_S):
        await response.write(message)
