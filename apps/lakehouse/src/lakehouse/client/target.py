"""Which stack is meant: the one the environment names, else the one that runs on LAKEHOUSE_HOME.

Called by `connect` and by commands that need the owner's connection string.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit
from uuid import UUID

from lakehouse.embedded.credentials import Credentials
from lakehouse.embedded.programs import role
from lakehouse.embedded.settings import StackSettings
from lakehouse.embedded.status import StackStatus
from opscore.domain.errors import ControlPlaneUnavailable, InvalidSetting
from opscore.ports.people import DEFAULT_ENVIRONMENT


@dataclass(frozen=True, slots=True)
class Target:
    """A stack to talk to. dsn: as the control room's role where we know its password. url: "" when nobody said."""

    dsn: str = field(repr=False)
    listen_dsn: str = field(repr=False)
    owner_dsn: str = field(repr=False)
    warehouse: str
    url: str
    environment: UUID = DEFAULT_ENVIRONMENT


def find_stack(environ: Mapping[str, str], home: Path | None = None) -> Target:
    """The stack that LAKEHOUSE_DATABASE_URL names, else the one on the home.

    Raises InvalidSetting, and ControlPlaneUnavailable with the next step when no stack runs.
    """
    settings = StackSettings.load(environ, home)
    environment = _environment(environ)
    if settings.database_url:
        direct = settings.direct_url or settings.database_url
        url = environ.get("LAKEHOUSE_API_URL", "")
        return Target(settings.database_url, direct, direct, settings.warehouse, url, environment)
    status = StackStatus.read(settings.home)
    if status.supervisor is None or not status.supervisor.alive() or not status.database.url:
        raise ControlPlaneUnavailable(
            f"No stack runs on {settings.home}, and LAKEHOUSE_DATABASE_URL is not set.",
            hint="`lakehouse up --detach` starts one here; LAKEHOUSE_HOME or LAKEHOUSE_DATABASE_URL names another.",
        )
    dsn = _as_control_room(status.database.url, settings.home)
    return Target(dsn, dsn, status.database.url, status.warehouse or settings.warehouse, status.url, environment)


def _as_control_room(owner_url: str, home: Path) -> str:
    """The same database under the control room's role: what it may not do, a command must not do either."""
    name = role("controlroom")
    password = Credentials(home).get(name)
    if password is None:
        return owner_url
    parts = urlsplit(owner_url)
    where = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{name}:{quote(password, safe='')}@{where}").geturl()


def _environment(environ: Mapping[str, str]) -> UUID:
    text = environ.get("LAKEHOUSE_ENVIRONMENT")
    if not text:
        return DEFAULT_ENVIRONMENT
    try:
        return UUID(text)
    except ValueError:
        raise InvalidSetting(
            name="LAKEHOUSE_ENVIRONMENT", fault="it is not an environment's id", example=str(DEFAULT_ENVIRONMENT)
        ) from None
