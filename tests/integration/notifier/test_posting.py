"""Posting to a real receiver: what is sent, what counts as taken, and what is never followed."""

from __future__ import annotations

import ipaddress
import ssl
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook

from lakehouse_notifier.channels.slack import SlackChannel
from lakehouse_notifier.channels.webhook import WebhookChannel
from lakehouse_notifier.guard import Allowed, Guard, Resolve
from lakehouse_notifier.posting import LONGEST_BODY, open_poster
from opscore.domain.errors import DeliveryFailed, DeliveryRefused, OpsError
from opscore.ports.event_log import DueNotification
from opscore.runtime.clock import SystemClock
from support.webhooks import Answer, receiving

LOOPBACK = Allowed.parse("127.0.0.1")
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OLD_SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"


class Rebinding:
    """A name that is public when it is judged and private when it is asked again."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def __call__(self, _host: str, _port: int) -> Sequence[str]:
        self.asked += 1
        return [self.answers[min(self.asked, len(self.answers)) - 1]]


async def post(url: str, *, allowed: Allowed = LOOPBACK, resolve: Resolve | None = None, **options: Any) -> None:
    async with open_poster(Guard(allowed, resolve), **options) as poster:
        await poster.post(url, b"{}", {"content-type": "application/json"})


async def failure_of(url: str, **options: Any) -> OpsError:
    with pytest.raises(OpsError) as caught:
        await post(url, **options)
    return caught.value


def notification(**target: Any) -> DueNotification:
    body = {"type": "alert.opened", "timestamp": "2026-03-01T00:00:00+00:00", "summary": "p failed: ä", "alert_id": "a"}
    return DueNotification(uuid.uuid4(), uuid.uuid4(), "webhook", target, body, 1)


async def test_a_webhook_is_signed_so_that_the_reference_library_verifies_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    async with receiving() as receiver, open_poster(Guard(LOOPBACK)) as poster:
        sent = notification(url=receiver.url, secret="env:HOOK_SECRET")

        await WebhookChannel(poster, SystemClock()).send(sent)

        (got,) = receiver.received
        verified = Webhook(SECRET).verify(got.body, got.headers)
        assert verified["data"] == {"summary": "p failed: ä", "alert_id": "a"}
        assert got.headers["webhook-id"] == str(sent.id)


async def test_a_rotated_secret_signs_beside_the_old_one(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(f"{SECRET} {OLD_SECRET}\n")
    async with receiving() as receiver, open_poster(Guard(LOOPBACK)) as poster:
        sent = notification(url=receiver.url, secret=f"file:{tmp_path}/secret")

        await WebhookChannel(poster, SystemClock()).send(sent)

        (got,) = receiver.received
        assert Webhook(SECRET).verify(got.body, got.headers)
        assert Webhook(OLD_SECRET).verify(got.body, got.headers)


async def test_a_webhook_without_a_secret_is_not_signed(monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiving() as receiver, open_poster(Guard(LOOPBACK)) as poster:
        monkeypatch.setenv("HOOK_URL", receiver.url)

        await WebhookChannel(poster, SystemClock()).send(notification(url="env:HOOK_URL"))

        assert "webhook-signature" not in receiver.received[0].headers


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ({}, "its url is missing"),
        ({"url": 3}, "its url is missing"),
        ({"url": "env:NOT_SET_ANYWHERE"}, "its url refers to env:NOT_SET_ANYWHERE, which holds nothing here"),
        ({"url": "file:/no/such/file"}, "its url refers to file:/no/such/file, which holds nothing here"),
        ({"url": "file:relative"}, "holds nothing here"),
        ({"url": "file:/dev/zero"}, "holds nothing here"),
        ({"url": "http://127.0.0.1:1/", "secret": "hunter2"}, "its secret must be a reference"),
        ({"url": "http://127.0.0.1:1/", "secret": "env:BAD_SECRET"}, "its secret is not base64"),
        ({"url": "env:BAD_SECRET"}, "it must start with https"),
    ],
)
async def test_a_target_that_cannot_be_used_is_refused_without_its_secrets(
    target: dict[str, Any], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BAD_SECRET", "hunter2 is not base64!")
    async with open_poster(Guard(LOOPBACK)) as poster:
        with pytest.raises(DeliveryRefused) as refusal:
            await WebhookChannel(poster, SystemClock()).send(notification(**target))

    assert reason in refusal.value.message
    assert "hunter2" not in str(refusal.value.as_json())


async def test_slack_gets_text_and_blocks_at_a_url_that_no_message_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiving() as receiver, open_poster(Guard(LOOPBACK)) as poster:
        monkeypatch.setenv("SLACK_URL", f"http://127.0.0.1:{receiver.port}/services/T0/B0/SECRET")
        slack, sent = SlackChannel(poster), notification(url="env:SLACK_URL")

        await slack.send(sent)

        assert receiver.received[0].target == "/services/T0/B0/SECRET"
        assert receiver.received[0].json()["text"] == "p failed: ä"
        receiver.script = [Answer(404, body=b"no_service")]
        with pytest.raises(DeliveryRefused, match=r"it answered 404 \(no_service\)") as refusal:
            await slack.send(sent)
        assert "SECRET" not in str(refusal.value.as_json())


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 599])
async def test_these_answers_are_worth_another_try(status: int) -> None:
    async with receiving() as receiver:
        receiver.script = [Answer(status, {"retry-after": "7"})]

        failure = await failure_of(receiver.url)

    assert isinstance(failure, DeliveryFailed)
    assert failure.facts["retry_after"] == "7"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 410, 413, 422])
async def test_these_answers_are_final(status: int) -> None:
    async with receiving() as receiver:
        receiver.script = [Answer(status)]

        failure = await failure_of(receiver.url)

    assert isinstance(failure, DeliveryRefused)
    assert f"it answered {status}" in failure.message


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(status: int) -> None:
    async with receiving() as elsewhere, receiving() as receiver:
        receiver.script = [Answer(status, {"location": elsewhere.url})]

        failure = await failure_of(receiver.url)

        assert isinstance(failure, DeliveryRefused)
        assert elsewhere.received == []


async def test_the_judged_address_is_the_one_connected_to_even_when_the_name_changes_its_mind() -> None:
    async with receiving() as receiver:
        name = Rebinding("127.0.0.1", "10.0.0.1")

        await post(f"http://hooks.example:{receiver.port}/x", resolve=name)

        assert name.asked == 1
        assert receiver.received[0].headers["host"] == f"hooks.example:{receiver.port}"


async def test_a_private_address_is_refused_before_anything_is_sent() -> None:
    async with receiving() as receiver:
        failure = await failure_of(receiver.url, allowed=Allowed())

        assert isinstance(failure, DeliveryRefused)
        assert "LAKEHOUSE_WEBHOOK_ALLOW" in failure.hint
        assert receiver.received == []


async def test_a_proxy_in_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiving() as proxy, receiving() as receiver:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("ALL_PROXY", proxy.url)

        await post(receiver.url)

        assert (len(receiver.received), len(proxy.received)) == (1, 0)


async def test_cookies_and_connections_are_not_kept_for_the_next_send() -> None:
    async with receiving() as receiver, open_poster(Guard(LOOPBACK)) as poster:
        receiver.script = [Answer(200, {"set-cookie": "who=me"})]

        await poster.post(receiver.url, b"{}", {})
        await poster.post(receiver.url, b"{}", {})

        assert "cookie" not in receiver.received[1].headers


async def test_the_next_vetted_address_is_tried_when_the_first_does_not_connect() -> None:
    async with receiving() as receiver:

        async def two(_host: str, _port: int) -> Sequence[str]:
            return ["127.0.0.9", "127.0.0.1"]

        await post(f"http://hooks.example:{receiver.port}/", resolve=two, allowed=Allowed.parse("127.0.0.0/8"))

        assert len(receiver.received) == 1


async def test_nobody_listening_is_worth_another_try() -> None:
    assert isinstance(await failure_of("http://127.0.0.1:1/"), DeliveryFailed)


async def test_a_receiver_that_never_answers_is_left_at_the_deadline() -> None:
    async with receiving() as receiver:
        receiver.script = [Answer(silent=True)]

        failure = await failure_of(receiver.url, deadline_s=0.2)

    assert isinstance(failure, DeliveryFailed)


async def test_a_body_without_end_is_left_after_64_kib_and_does_not_change_the_answer() -> None:
    async with receiving() as receiver:
        receiver.script = [Answer(200, endless=True)]

        await post(receiver.url)

        assert receiver.body_bytes_sent < 100 * LONGEST_BODY  # what fits into socket buffers, not the world


@dataclass(frozen=True)
class Authority:
    server: ssl.SSLContext
    client: ssl.SSLContext


def authority(tmp_path: Path, *names: str) -> Authority:
    """A certificate for these host names and a client that trusts it."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    alternatives: list[x509.GeneralName] = [x509.DNSName(each) for each in names]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "both.pem").write_bytes(pem + secret)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "both.pem")
    return Authority(server, ssl.create_default_context(cadata=pem.decode()))


async def test_the_certificate_must_be_the_hosts_not_the_addresss(tmp_path: Path) -> None:
    tls = authority(tmp_path, "hooks.example")
    async with receiving(tls=tls.server) as receiver:
        name = Rebinding("127.0.0.1")

        await post(f"https://hooks.example:{receiver.port}/", resolve=name, context=tls.client)
        failure = await failure_of(f"https://other.example:{receiver.port}/", resolve=name, context=tls.client)

        assert isinstance(failure, DeliveryFailed)
        assert len(receiver.received) == 1


async def test_a_certificate_that_nobody_vouches_for_is_not_accepted(tmp_path: Path) -> None:
    tls = authority(tmp_path, "hooks.example")
    async with receiving(tls=tls.server) as receiver:
        failure = await failure_of(f"https://hooks.example:{receiver.port}/", resolve=Rebinding("127.0.0.1"))

        assert isinstance(failure, DeliveryFailed)
        assert receiver.received == []


async def test_ipv6_literals_reach_their_host_with_brackets_in_the_header() -> None:
    try:
        ipv6 = receiving("::1")
        async with ipv6 as receiver:
            await post(f"http://[::1]:{receiver.port}/", allowed=Allowed((), (ipaddress.ip_network("::1"),)))

            assert receiver.received[0].headers["host"] == f"[::1]:{receiver.port}"
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
