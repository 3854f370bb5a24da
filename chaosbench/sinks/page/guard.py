"""Who may look at the page, and who may stop the run from it.

The server listens on a loopback address, yet any web page in the same browser
can send requests there. Two doors are closed to it: a name that was made to
resolve to this machine (DNS rebinding) is refused by its ``Host`` header, since
the page is only ever reached by an address or as ``localhost``; and stopping the
run takes a token that only the terminal shows, in a header that a foreign page
cannot send without being asked for permission first.
"""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from aiohttp import web

TOKEN_HEADER = "X-Chaosbench-Token"  # noqa: S105 - a header's name
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self' 'unsafe-inline'",  # Plotly styles what it draws
        "img-src 'self' data: blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
"""Nothing but the page's own files; no request can leave the machine."""

REPORT_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; sandbox"
    " allow-scripts"
)
"""A report is one self-contained file. It runs apart from the page: what is in it can ask this server for nothing."""


def new_token() -> str:
    """48 random bits, short enough to type."""
    return secrets.token_hex(6)


def trusted(host: str | None) -> bool:
    """Whether a ``Host`` header names this machine by address, or as ``localhost``."""
    try:
        name = urlsplit(f"//{host or ''}").hostname
    except ValueError:
        return False
    if name == "localhost":
        return True
    try:
        ipaddress.ip_address(name or "")
    except ValueError:
        return False
    return True


def same_origin(request: web.Request) -> bool:
    """Whether a request comes from a page of this server, or from no page at all (curl)."""
    origin = request.headers.get("Origin")
    return origin is None or origin == f"http://{request.host}"


def allowed(request: web.Request, token: str) -> bool:
    """Whether a request carries the token; takes as long for a wrong one as for the right one."""
    given = request.headers.get(TOKEN_HEADER, "").strip().lower()
    return secrets.compare_digest(given.encode(), token.encode())


def guarded(handler: Handler) -> Handler:
    """The handler behind the first door, its answers with the headers that keep a browser to them."""

    async def guard(request: web.Request) -> web.StreamResponse:
        if not trusted(request.headers.get("Host")):
            text = "this page is reached by an address or as localhost, not by another name\n"
            raise web.HTTPMisdirectedRequest(text=text)
        return await handler(request)

    return guard


def safe(headers: dict[str, str] | None = None, policy: str = POLICY) -> dict[str, str]:
    """Headers of an answer."""
    return {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cache-Control": "no-cache",
    } | (headers or {})
