"""Webhooks after the Standard Webhooks specification (https://www.standardwebhooks.com).

`webhook-id` is the notification's id and stays the same on every try: a sender that dies between sending and
noting it sends again, and a receiver that remembers ids takes the message once.
"""

from __future__ import annotations

import json
import re
from datetime import datetime

from standardwebhooks.webhooks import Webhook

from lakehouse_notifier.posting import Poster
from lakehouse_notifier.references import plain_or_referenced, referenced
from opscore.domain.errors import DeliveryRefused
from opscore.domain.notification import webhook_payload
from opscore.ports.clock import Clock
from opscore.ports.event_log import DueNotification

SECRET = re.compile(r"(whsec_)?([A-Za-z0-9+/]{4})+([A-Za-z0-9+/]{2,3}={0,2})?")


class WebhookChannel:
    """target: {"url": "https://…" or a reference, "secret": a reference or left out}.

    While a secret is rotated, the reference holds the old and the new one, a space between them.
    """

    def __init__(self, poster: Poster, clock: Clock) -> None:
        """clock: receivers refuse signatures that are minutes off, so every try carries its own time."""
        self._poster = poster
        self._clock = clock

    async def send(self, notification: DueNotification) -> None:
        """See Channel."""
        url = await plain_or_referenced(notification.target.get("url"), "url")
        content = json.dumps(webhook_payload(notification.body), ensure_ascii=False, separators=(",", ":"))
        now = self._clock.now()
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": "lakehouse-notifier",
            "webhook-id": str(notification.id),
            "webhook-timestamp": str(int(now.timestamp())),
        }
        if notification.target.get("secret") is not None:
            secrets = await referenced(notification.target["secret"], "secret")
            headers["webhook-signature"] = signatures(secrets, str(notification.id), now, content)
        await self._poster.post(url, content.encode(), headers)


def signatures(secrets: str, message_id: str, at: datetime, content: str) -> str:
    """One `v1,…` signature per secret. Raises DeliveryRefused, without the secret, when one is not base64."""
    for secret in secrets.split():
        if not SECRET.fullmatch(secret):
            raise DeliveryRefused(target="the route", reason="its secret is not base64 (whsec_…)")
    return " ".join(Webhook(secret).sign(message_id, at, content) for secret in secrets.split())
