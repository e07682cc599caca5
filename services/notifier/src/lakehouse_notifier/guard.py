"""Where notifications may go: public addresses, and private ones that the operator named.

Called by `posting.py` before every send. A route's author chooses the URL, so without this the notifier would be
everybody's door into the private network: cloud metadata, databases, the control room itself. The host is resolved
once, every address is judged, and only a judged address is connected to, so that a name cannot change its mind
between the check and the connection. Spellings do not matter (0x7f.1, 2130706433): what is judged is what the
resolver made of them.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import anyio
import httpx

from opscore.domain.errors import DeliveryFailed, DeliveryRefused

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

PORTS = {"http": 80, "https": 443}
HOST = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?")

# `is_global` says yes to all of these.
RESERVED_IPV4 = tuple(
    IPv4Network(network)
    for network in (
        "168.63.129.16/32",  # Azure's platform, metadata included
        "192.0.0.0/24",  # protocol assignments
        "192.88.99.0/24",  # 6to4 relays
    )
)
UNICAST_IPV6 = IPv6Network("2000::/3")  # leaves out IPv4 in IPv6 (::/96), NAT64 (64:ff9b::/96), link and site local
RESERVED_IPV6 = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments, Teredo
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: an IPv4 address in disguise
        "3fff::/20",  # documentation
    )
)


@dataclass(frozen=True, slots=True)
class Allowed:
    """Hosts and networks that may be reached although they are not public: `LAKEHOUSE_WEBHOOK_ALLOW`."""

    hosts: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Allowed:
        """Read comma-separated hosts, addresses and CIDR networks. Raises ValueError naming the part that is wrong."""
        hosts: set[str] = set()
        networks: list[Network] = []
        for part in filter(None, (part.strip().lower() for part in text.split(","))):
            network = _network(part)
            if network is not None:
                networks.append(network)
            elif HOST.fullmatch(part):
                hosts.add(part)
            else:
                raise ValueError(f"`{part}` is neither a host name nor an address nor a network")
        return cls(frozenset(hosts), tuple(networks))

    def names(self, address: Address) -> bool:
        """Whether the address lies in a network that is allowed."""
        return any(address in network for network in self.networks)


@dataclass(frozen=True, slots=True)
class Vetted:
    """A destination that may be connected to, at these addresses and no others. host: for `Host` and TLS."""

    url: httpx.URL
    host: str
    port: int
    addresses: tuple[str, ...]


class Guard:
    """Judges destinations."""

    def __init__(self, allowed: Allowed, resolve: Resolve | None = None) -> None:
        """resolve: (host, port) -> addresses as text; the system's resolver when left out."""
        self._allowed = allowed
        self._resolve = resolve or system_resolve

    async def vet(self, text: str) -> Vetted:
        """Resolve and judge. Raises DeliveryRefused, or DeliveryFailed when the name does not resolve now."""
        url = _parsed(text)
        host = url.raw_host.decode("ascii")
        port = url.port or PORTS[url.scheme]
        addresses = [_plain(address) for address in await self._addresses(url, host, port)]
        if host not in self._allowed.hosts:
            self._judge(url, host, addresses)
        return Vetted(url, host, port, tuple(str(address) for address in addresses))

    async def _addresses(self, url: httpx.URL, host: str, port: int) -> list[Address]:
        try:
            found = await self._resolve(host, port)
        except UnicodeError:
            raise DeliveryRefused(target=masked(url), reason="its host is not a valid name") from None
        except OSError as error:
            raise DeliveryFailed(target=masked(url), reason=f"its host does not resolve ({error.strerror})") from error
        if not found:
            raise DeliveryFailed(target=masked(url), reason="its host has no address")
        return [ip_address(address) for address in dict.fromkeys(found)]

    def _judge(self, url: httpx.URL, host: str, addresses: Sequence[Address]) -> None:
        for address in addresses:
            if not is_public(address) and not self._allowed.names(address):
                reason = f"{host} is {address}, which is not a public address"
                raise DeliveryRefused(target=masked(url), reason=reason)


def is_public(address: Address) -> bool:
    """Whether the address is one host on the public internet, and plainly so: nothing translated or tunnelled."""
    if isinstance(address, IPv4Address):
        reserved = any(address in network for network in RESERVED_IPV4)
        return address.is_global and not address.is_multicast and not reserved
    return address in UNICAST_IPV6 and not any(address in network for network in RESERVED_IPV6)


def masked(url: httpx.URL) -> str:
    """The destination as messages may show it: the path of a webhook is often its password."""
    port = f":{url.port}" if url.port else ""
    host = f"[{url.host}]" if ":" in url.host else url.host
    return f"{url.scheme}://{host}{port}/…"


async def system_resolve(host: str, port: int) -> list[str]:
    """All addresses of a host, in the system's order of preference."""
    found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


def _parsed(text: str) -> httpx.URL:
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, TypeError):
        raise DeliveryRefused(target="the route's URL", reason="it is not a URL") from None
    if url.scheme not in PORTS:
        raise DeliveryRefused(target="the route's URL", reason="it must start with https:// or http://")
    if url.userinfo:
        raise DeliveryRefused(target=masked(url), reason="a URL with a user name or password in it is not accepted")
    if not url.host or not 0 < (url.port or PORTS[url.scheme]) < 65536 or url.port == 0:
        raise DeliveryRefused(target=masked(url), reason="its host or port is missing or out of range")
    return url


def _plain(address: Address) -> Address:
    """The IPv4 address inside an IPv4-mapped one, else the address itself."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _network(text: str) -> Network | None:
    try:
        return ip_network(text.strip("[]"))
    except ValueError:
        return None
