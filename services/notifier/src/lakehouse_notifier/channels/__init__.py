"""Ways to a person, one file each. A channel sends one notification once and raises when that did not work."""

from __future__ import annotations

from typing import Protocol

from opscore.ports.event_log import DueNotification


class Channel(Protocol):
    """Sends one notification."""

    async def send(self, notification: DueNotification) -> None:
        """Return when the receiver took it. Raises DeliveryFailed or DeliveryRefused."""
        ...
