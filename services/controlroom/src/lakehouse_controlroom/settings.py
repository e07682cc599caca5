"""What the control room reads from its environment. Loaded by `__main__.py`."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from pydantic import Field, SecretStr

from opscore.config import Settings
from opscore.ports.people import DEFAULT_ENVIRONMENT


class ControlroomSettings(Settings):
    """port: on loopback, 0 for any. token: what writes must carry; without one there are no writes."""

    examples: ClassVar[dict[str, str]] = {
        **Settings.examples,
        "port": "8377, or 0 for any free port",
        "token": "a random text of 16 characters at least",
        "environment": str(DEFAULT_ENVIRONMENT),
    }

    port: int = Field(default=8377, ge=0, le=65535)
    token: SecretStr | None = Field(default=None, min_length=16)
    environment: UUID = DEFAULT_ENVIRONMENT
