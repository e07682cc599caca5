"""What every request passes: only pages of this very server may talk to it, and no page may do more than it needs.

A plain ASGI layer around the application, so that streams pass untouched. Reads are open to whoever reaches loopback;
the Host check keeps a web page elsewhere from reaching it through a name that it rebinds to 127.0.0.1.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lakehouse_controlroom.problems import problem
from opscore.domain.errors import InvalidInput, NotAllowed, OpsError

LOCAL_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
LARGEST_BODY = 2 * 1024 * 1024
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}


class Guard:
    """Refuses strangers' requests and puts the security headers on every answer."""

    def __init__(self, app: ASGIApp, names: Iterable[str] = LOCAL_NAMES) -> None:
        """names: host names that this server answers to, without port."""
        self._app = app
        self._names = frozenset(names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        fault = self._fault(scope["method"], Headers(scope=scope))
        if fault is None:
            await self._app(scope, receive, send_guarded)
        else:
            await problem(fault, scope["path"])(scope, receive, send_guarded)

    def _fault(self, method: str, headers: Headers) -> OpsError | None:
        host = headers.get("host", "")
        if not self._is_ours(f"//{host}"):
            return NotAllowed(
                f"This control room does not answer to the host name {host[:100]!r}.",
                hint="Open it under 127.0.0.1 or localhost.",
            )
        if method in SAFE_METHODS:
            return None
        return self._write_fault(host, headers)

    def _write_fault(self, host: str, headers: Headers) -> OpsError | None:
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != host:
            return NotAllowed(f"A page of {origin[:100]} may not change anything here.")
        if headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
            return NotAllowed("A page of another site may not change anything here.")
        length = headers.get("content-length", "0")
        if "transfer-encoding" in headers or not length.isdigit() or int(length) > LARGEST_BODY:
            return InvalidInput(
                "The request's body has no stated length, or is longer than 2 MiB.",
                hint="Send a Content-Length and less.",
            )
        return None

    def _is_ours(self, netloc: str) -> bool:
        try:
            return urlsplit(netloc).hostname in self._names
        except ValueError:
            return False
