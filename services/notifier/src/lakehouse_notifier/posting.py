"""One POST to a vetted address. Called by the channels; the only place of the service that opens connections.

No proxy from the environment, no redirect, no cookie, no connection kept for the next send: each would lead around
the guard or mix recipients up. What comes back is a status and at most 64 KiB of text.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ssl import SSLContext

import anyio
import httpx

from lakehouse_notifier.guard import PORTS, Guard, Vetted, masked
from opscore.domain.errors import DeliveryFailed, DeliveryRefused

DEADLINE_S = 15.0  # for one send, everything included
BODY_S = 2.0
LONGEST_BODY = 64 * 1024
TEMPORARY = frozenset({408, 425, 429})


@dataclass(frozen=True, slots=True)
class Reply:
    """What a receiver answered. retry_after: its header as it came. text: at most LONGEST_BODY bytes of the body."""

    status: int
    retry_after: str | None
    text: str


class Poster:
    """Sends bytes to URLs. Opened by `open_poster`."""

    def __init__(self, guard: Guard, transport: httpx.AsyncHTTPTransport, deadline_s: float = DEADLINE_S) -> None:
        self._guard = guard
        self._transport = transport
        self._deadline_s = deadline_s

    async def post(self, url: str, content: bytes, headers: Mapping[str, str]) -> None:
        """Send once; return when the receiver took it. Raises DeliveryFailed (worth another try) or DeliveryRefused."""
        target = "the route's URL"
        try:
            with anyio.fail_after(self._deadline_s):
                vetted = await self._guard.vet(url)
                target = masked(vetted.url)
                reply = await self._exchange(vetted, content, headers)
        except TimeoutError:
            raise DeliveryFailed(target=target, reason=f"no answer within {self._deadline_s:g} s") from None
        except httpx.TimeoutException:
            raise DeliveryFailed(target=target, reason="the connection timed out") from None
        except httpx.HTTPError as error:
            raise DeliveryFailed(target=target, reason=f"the connection failed ({type(error).__name__})") from None
        judge(reply, target)

    async def _exchange(self, vetted: Vetted, content: bytes, headers: Mapping[str, str]) -> Reply:
        """Try the vetted addresses in order; only a connection that never stood leads to the next one."""
        *others, last = vetted.addresses
        for address in others:
            with contextlib.suppress(httpx.ConnectError, httpx.ConnectTimeout):
                return await self._exchange_with(address, vetted, content, headers)
        return await self._exchange_with(last, vetted, content, headers)

    async def _exchange_with(self, address: str, vetted: Vetted, content: bytes, headers: Mapping[str, str]) -> Reply:
        request = httpx.Request(
            "POST",
            vetted.url.copy_with(host=address, fragment=None),
            headers={**headers, "Host": _host_header(vetted)},
            content=content,
            extensions={
                "sni_hostname": vetted.host,  # the certificate must be the host's, not the address's
                "timeout": {"connect": self._deadline_s / 3, "read": self._deadline_s, "write": self._deadline_s},
            },
        )
        response = await self._transport.handle_async_request(request)
        try:
            return Reply(response.status_code, response.headers.get("retry-after"), await _text(response))
        finally:
            await response.aclose()


@asynccontextmanager
async def open_poster(
    guard: Guard, *, context: SSLContext | None = None, deadline_s: float = DEADLINE_S
) -> AsyncGenerator[Poster]:
    """A poster for the length of the block. context: whom TLS trusts; the system's usual roots when left out."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    async with httpx.AsyncHTTPTransport(verify=context or httpx.create_ssl_context(), limits=limits) as transport:
        yield Poster(guard, transport, deadline_s)


def judge(reply: Reply, target: str) -> None:
    """Pass for 2xx. Raises DeliveryFailed for what may get better, DeliveryRefused for what a person must change."""
    if 200 <= reply.status < 300:
        return
    said = f"it answered {reply.status}{_quoted(reply.text)}"
    if reply.status in TEMPORARY or reply.status >= 500:
        raise DeliveryFailed(target=target, reason=said, retry_after=reply.retry_after)
    if 300 <= reply.status < 400:
        raise DeliveryRefused(target=target, reason=f"{said}, a redirect, which is not followed")
    raise DeliveryRefused(target=target, reason=said)


async def _text(response: httpx.Response) -> str:
    """The start of the body. The status is the answer: a body that does not come must not make a send fail."""
    body = bytearray()
    with anyio.move_on_after(BODY_S), contextlib.suppress(httpx.HTTPError):
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) >= LONGEST_BODY:
                break
    return bytes(body[:LONGEST_BODY]).decode(errors="replace")


def _quoted(text: str) -> str:
    """The receiver's own word for it when that is a short one (`no_service`); longer answers stay unread."""
    word = text.strip()
    return f" ({word})" if 0 < len(word) <= 60 and word.replace("_", "").replace(" ", "").isalnum() else ""


def _host_header(vetted: Vetted) -> str:
    host = f"[{vetted.host}]" if ":" in vetted.host else vetted.host
    return host if vetted.port == PORTS[vetted.url.scheme] else f"{host}:{vetted.port}"
