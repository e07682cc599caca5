"""What the notifier reads from its environment. Loaded by `app.py`."""

from __future__ import annotations

from typing import ClassVar

from pydantic import field_validator

from lakehouse_notifier.guard import Allowed
from opscore.config import Settings


class NotifierSettings(Settings):
    """webhook_allow: hosts and networks that may be reached although they are not public. api_url: for links."""

    examples: ClassVar[dict[str, str]] = {
        **Settings.examples,
        "webhook_allow": "hooks.corp.example,10.1.0.0/16",
        "api_url": "https://lakehouse.corp.example",
    }

    webhook_allow: str = ""
    api_url: str | None = None

    @field_validator("webhook_allow")
    @classmethod
    def _is_a_list(cls, value: str) -> str:
        Allowed.parse(value)
        return value

    @field_validator("api_url")
    @classmethod
    def _is_an_address(cls, value: str | None) -> str | None:
        if not value:
            return None
        if not value.startswith(("https://", "http://")):
            raise ValueError("it must start with https:// or http://")
        return value.rstrip("/")

    @property
    def allowed(self) -> Allowed:
        """What `webhook_allow` names."""
        return Allowed.parse(self.webhook_allow)
