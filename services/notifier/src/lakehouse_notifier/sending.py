"""Leases due notifications, sends them side by side, settles each by itself the moment it is known how it went.

Called by the loop in `app.py`. A sender killed between sending and settling leaves the notification to the next
lease, which sends it again under the same id; nothing else can make a receiver see it twice.
"""

from __future__ import annotations

import random
from collections.abc import Mapping

import anyio
from anyio.abc import TaskGroup

from lakehouse_notifier.attempt import attempt
from lakehouse_notifier.channels import Channel
from lakehouse_notifier.posting import DEADLINE_S
from opscore.domain.errors import ControlPlaneUnavailable
from opscore.observe.observation import NotificationFailed, NotificationSent
from opscore.ports.event_log import Alerting, DueNotification, SendOutcome
from opscore.ports.wakeups import Wakeups
from opscore.runtime.loop import NOTHING, Found
from opscore.runtime.retry import persist
from opscore.runtime.service import Service

SLOTS = 16
LEASE_S = 2 * DEADLINE_S  # a send ends by its deadline; the rest is for settling while the database is away


class Sending:
    """Passes that hand due notifications to tasks. bell: rung when a slot is free again."""

    def __init__(
        self,
        control: Alerting,
        channels: Mapping[str, Channel],
        service: Service,
        group: TaskGroup,
        bell: Wakeups,
        slots: int = SLOTS,
    ) -> None:
        """group: carries the sends, so that a stop waits for them. slots: sends at one moment."""
        self._control = control
        self._channels = channels
        self._service = service
        self._group = group
        self._bell = bell
        self._free = slots

    async def pass_once(self, rang: bool) -> Found:  # noqa: ARG002, FBT001 - the shape of Work
        """Lease as many as there are free slots and start sending them."""
        if self._free:
            for notification in await self._control.lease_notifications(self._free, int(LEASE_S * 1000)):
                self._free -= 1
                self._group.start_soon(self._carry, notification)
        return NOTHING

    async def _carry(self, notification: DueNotification) -> None:
        lease_ends = self._service.clock.monotonic() + LEASE_S
        try:
            now, jitter = self._service.clock.now(), random.random()  # noqa: S311 - jitter
            outcome = await attempt(notification, self._channels, now=now, jitter=jitter)
            await self._settle(notification, outcome, lease_ends)
        finally:
            self._free += 1
            self._bell.ring()

    async def _settle(self, notification: DueNotification, outcome: SendOutcome, lease_ends: float) -> None:
        """Tell the control plane, even while stopping, for as long as the lease may still be ours."""

        async def settle() -> bool:
            return (await self._control.settle_notifications([outcome]))[outcome.id]

        def in_vain() -> bool:
            return self._service.stopping.hurrying or self._service.clock.monotonic() >= lease_ends

        with anyio.CancelScope(shield=True):
            try:
                if await persist(settle, "settle notifications", self._service, until=in_vain):
                    self._notice(notification, outcome)
            except ControlPlaneUnavailable:
                return  # the lease runs out, and the notification is sent again under its id

    def _notice(self, notification: DueNotification, outcome: SendOutcome) -> None:
        observer = self._service.observer
        if outcome.outcome == "delivered":
            observer.notice(NotificationSent(notification.channel, notification.attempts))
            return
        reason = (outcome.error or {}).get("message", "")
        observer.notice(NotificationFailed(notification.channel, reason, final=outcome.outcome == "failed"))
