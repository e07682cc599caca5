"""The five services' commands and environments. Called by the bring-up.

Each service gets a database login of its own, so that a grant forgotten in a migration shows at once and nobody holds
the owner's password who does not need it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from lakehouse.embedded.ports import LOOPBACK
from lakehouse.embedded.service import Program
from lakehouse.embedded.settings import StackSettings
from lakehouse.embedded.signing_key import key_setting
from lakehouse.embedded.status import Supabase
from opscore.domain.errors import NotFound

SERVICES = ("dispatcher", "executor", "scorer", "notifier", "controlroom")
DATABASE_SETTINGS = ("LAKEHOUSE_DATABASE_URL", "LAKEHOUSE_DIRECT_URL")


def role(service: str) -> str:
    """The service's login role; the migrations make it."""
    return f"lakehouse_{service}"


def control_room_url(port: int) -> str:
    """Where the control room listens."""
    return f"http://{LOOPBACK}:{port}"


def all_programs(
    settings: StackSettings,
    logins: Mapping[str, str],
    supabase: Supabase,
    port: int,
    environ: Mapping[str, str],
) -> list[Program]:
    """What to run. logins: service -> connection string; empty when every service uses LAKEHOUSE_DATABASE_URL."""
    shared = {key: value for key, value in environ.items() if not logins or key not in DATABASE_SETTINGS}
    shared |= {
        "LAKEHOUSE_HOME": str(settings.home),
        "LAKEHOUSE_WAREHOUSE": settings.warehouse,
        "LAKEHOUSE_API_URL": control_room_url(port),
        "LAKEHOUSE_HEALTH_PORT": "0",
        "MALLOC_ARENA_MAX": "2",  # an arena per thread would be most of an idle service's weight
    }
    own = {
        "dispatcher": key_setting(settings.home, environ) if logins else {},
        "controlroom": {
            "LAKEHOUSE_PORT": str(port),
            "SUPABASE_PUBLISHABLE_KEY": supabase.publishable_key,
            "SUPABASE_SECRET_KEY": supabase.secret_key,
        },
    }
    return [
        Program(name, (script(f"lakehouse-{name}"),), {**shared, **_login(logins, name), **own.get(name, {})})
        for name in SERVICES
    ]


def script(name: str) -> str:
    """A console script of the environment we run in; NotFound when it was not installed there."""
    path = Path(sys.executable).parent / name
    if not os.access(path, os.X_OK):
        raise NotFound(
            f"There is no console script {path}.", hint="Install the services into this environment: `make setup`."
        )
    return str(path)


def _login(logins: Mapping[str, str], name: str) -> dict[str, str]:
    return dict.fromkeys(DATABASE_SETTINGS, logins[name]) if logins else {}
