"""Where notifications may go."""

from __future__ import annotations

import socket
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse_notifier.guard import Allowed, Guard, Resolve, is_public
from opscore.domain.errors import DeliveryFailed, DeliveryRefused

PUBLIC = "93.184.215.14"


def resolves_to(*addresses: str) -> Resolve:
    async def resolve(_host: str, _port: int) -> Sequence[str]:
        return addresses

    return resolve


def guard(*addresses: str, allow: str = "") -> Guard:
    return Guard(Allowed.parse(allow), resolves_to(*addresses))


@pytest.mark.parametrize(
    "spelling",
    [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f.1",
        "0x7f000001",
        "017700000001",
        "0177.1",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "0",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "169.254.169.254",
        "[fd00:ec2::254]",
        "[fe80::1]",
        "10.1.2.3",
        "0xa010203",
    ],
)
async def test_no_spelling_of_a_private_address_passes(spelling: str) -> None:
    with pytest.raises((DeliveryRefused, DeliveryFailed)) as refusal:
        await Guard(Allowed()).vet(f"http://{spelling}/x")

    # a spelling that this system's resolver does not know leads nowhere either
    assert isinstance(refusal.value, DeliveryRefused) or "does not resolve" in refusal.value.message


@pytest.mark.parametrize("spelling", ["0177.0.0.1", "①②⑦.⓪.⓪.①", "127.0.0.1%00.example.com", "[::1"])
async def test_spellings_that_are_no_url_are_refused_unresolved(spelling: str) -> None:
    async def never(host: str, _port: int) -> Sequence[str]:
        raise UnicodeError(host)

    with pytest.raises(DeliveryRefused):
        await Guard(Allowed(), never).vet(f"http://{spelling}/x")


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "100.64.0.1",
        "100.100.100.200",
        "127.0.0.1",
        "127.255.255.254",
        "168.63.129.16",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.8",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.0.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::808:808",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:20::1",
        "2001:db8::1",
        "2002:808:808::1",
        "3fff::1",
        "5f00::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
    ],
)
async def test_what_is_not_plainly_public_is_refused_by_name_and_address(address: str) -> None:
    with pytest.raises(DeliveryRefused, match="is not a public address") as refusal:
        await guard(address).vet("https://hooks.example/secret-path")

    assert "secret-path" not in refusal.value.message


@pytest.mark.parametrize("address", [PUBLIC, "8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "::ffff:8.8.8.8"])
async def test_public_addresses_pass(address: str) -> None:
    vetted = await guard(address).vet("https://hooks.example:8443/x?y=1")

    assert vetted.addresses == (address.removeprefix("::ffff:"),)
    assert (vetted.host, vetted.port) == ("hooks.example", 8443)


async def test_one_private_address_among_public_ones_refuses_the_host() -> None:
    with pytest.raises(DeliveryRefused, match=r"10\.0\.0\.1"):
        await guard(PUBLIC, "10.0.0.1").vet("https://hooks.example/")


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("ftp://example.com/", "must start with https"),
        ("file:///etc/passwd", "must start with https"),
        ("gopher://example.com/", "must start with https"),
        ("//example.com/", "must start with https"),
        ("javascript:alert(1)", "must start with https"),
        ("", "must start with https"),
        ("postgresql://user:hunter2@db/x", "must start with https"),
        ("https://user:hunter2@example.com/", "user name or password"),
        ("https://user@example.com/", "user name or password"),
        ("https://example.com\\@127.0.0.1/", "user name or password"),
        ("https:///x", "host or port"),
        ("https://example.com:0/", "host or port"),
        ("https://example.com:65536/", "host or port"),
        ("https://example.com:x/", "not a URL"),
        ("https://exa\x00mple.com/", "not a URL"),
    ],
)
async def test_urls_of_another_kind_are_refused_without_their_secrets(url: str, reason: str) -> None:
    with pytest.raises(DeliveryRefused, match=reason) as refusal:
        await guard(PUBLIC).vet(url)

    assert "hunter2" not in refusal.value.message


@pytest.mark.parametrize(
    ("allow", "host", "address"),
    [
        ("127.0.0.1", "127.0.0.1", "127.0.0.1"),
        ("127.0.0.0/8", "whatever", "127.9.9.9"),
        ("localhost", "localhost", "127.0.0.1"),
        ("Hooks.Corp.Example", "HOOKS.corp.example", "10.0.0.1"),
        (" ::1 , 10.0.0.0/8", "x", "::1"),
        ("[::1]", "x", "::1"),
        ("10.0.0.0/8", "x", "::ffff:10.1.1.1"),
        ("fd00::/8", "x", "fd00::1"),
    ],
)
async def test_private_addresses_pass_when_host_or_network_is_named(allow: str, host: str, address: str) -> None:
    assert await guard(address, allow=allow).vet(f"http://{host}/")


@pytest.mark.parametrize(
    ("allow", "host"), [("hooks.corp", "evil-hooks.corp"), ("hooks.corp", "hooks.corp.evil"), ("127.0.0.0/8", "x")]
)
async def test_naming_one_host_or_network_opens_no_other(allow: str, host: str) -> None:
    with pytest.raises(DeliveryRefused):
        await guard("10.0.0.1", allow=allow).vet(f"http://{host}/")


@pytest.mark.parametrize("text", ["a b", "10.0.0.1/8", "10.0.0.0/33", "host:80", "*", "http://x", "-x"])
def test_an_allow_list_names_its_wrong_part(text: str) -> None:
    with pytest.raises(ValueError, match="neither a host name nor an address"):
        Allowed.parse(f"localhost,{text}")


async def test_a_name_that_does_not_resolve_now_may_be_tried_again() -> None:
    async def unknown(_host: str, _port: int) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with pytest.raises(DeliveryFailed, match="does not resolve"):
        await Guard(Allowed(), unknown).vet("https://hooks.example/")


async def test_a_host_without_addresses_may_be_tried_again() -> None:
    with pytest.raises(DeliveryFailed, match="no address"):
        await guard().vet("https://hooks.example/")


@given(st.ip_addresses(v=4).filter(lambda address: address.is_private or address.is_multicast))
def test_no_private_ipv4_address_is_public_in_any_dress(address: object) -> None:
    from ipaddress import IPv4Address, IPv6Address

    assert isinstance(address, IPv4Address)
    number = int(address)
    assert not is_public(address)
    assert not is_public(IPv6Address(number))
    assert not is_public(IPv6Address((0x64FF9B << 96) | number))
    assert not is_public(IPv6Address((0x2002 << 112) | (number << 80)))
