"""Slack by incoming webhook. The URL is the password: it comes by reference and is masked in every message."""

from __future__ import annotations

import json

from lakehouse_notifier.posting import Poster
from lakehouse_notifier.references import plain_or_referenced
from opscore.domain.notification import slack_payload
from opscore.ports.event_log import DueNotification


class SlackChannel:
    """target: {"url": a reference to the incoming webhook's URL}."""

    def __init__(self, poster: Poster) -> None:
        self._poster = poster

    async def send(self, notification: DueNotification) -> None:
        """See Channel."""
        url = await plain_or_referenced(notification.target.get("url"), "url")
        content = json.dumps(slack_payload(notification.body), ensure_ascii=False).encode()
        await self._poster.post(url, content, {"Content-Type": "application/json; charset=utf-8"})
