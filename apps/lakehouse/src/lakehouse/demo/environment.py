"""What a stack that people start by hand is told beside their own environment. Used by `up` and `demo`."""

from __future__ import annotations

import os
from pathlib import Path

from lakehouse.embedded.credentials import Credentials
from lakehouse.embedded.settings import home_of

LOOPBACK = "127.0.0.1,localhost"
TOKEN = "api_token"  # noqa: S105 - the secret's name


def stack_environment() -> dict[str, str]:
    """The environment, with the control room's token (made once per home) and webhooks to loopback allowed."""
    environ = {"LAKEHOUSE_WEBHOOK_ALLOW": LOOPBACK, **os.environ}
    if not environ.get("LAKEHOUSE_TOKEN"):
        environ["LAKEHOUSE_TOKEN"] = token_of(home_of(environ))
    return environ


def token_of(home: Path) -> str:
    """The bearer token for writes to this home's control room; only the home's owner can read it."""
    home.mkdir(parents=True, exist_ok=True)
    return Credentials(home).ensure(TOKEN, "lh_")
