"""What the stack as a whole is told: by the environment, and by the command line over it.

Called by the bring-up and the CLI. The services read their own settings from the environment the bring-up gives them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lakehouse.embedded import ports
from opscore.config import POSTGRES_EXAMPLE, check_postgres_url
from opscore.domain.errors import InvalidSetting

DEFAULT_PORT = 8377


@dataclass(frozen=True)
class StackSettings:
    """One home's stack. database_url None: a Postgres of its own. port None: 8377, or another when that is taken."""

    home: Path
    port: int | None
    port_name: str
    database_url: str | None
    direct_url: str | None
    warehouse: str
    bindir: str | None

    @classmethod
    def load(cls, environ: Mapping[str, str], home: Path | None = None, port: int | None = None) -> StackSettings:
        """Read the environment; what is given here wins. Raises InvalidSetting."""
        place = (home or home_of(environ)).absolute()
        _postgres_url(environ, "ODOO_DATABASE_URL")
        return cls(
            home=place,
            port=port if port is not None else _port(environ.get("LAKEHOUSE_PORT")),
            port_name="--port" if port is not None else "LAKEHOUSE_PORT",
            database_url=_postgres_url(environ, "LAKEHOUSE_DATABASE_URL"),
            direct_url=_postgres_url(environ, "LAKEHOUSE_DIRECT_URL"),
            warehouse=environ.get("LAKEHOUSE_WAREHOUSE") or (place / "warehouse").as_uri(),
            bindir=environ.get("LAKEHOUSE_PG_BINDIR") or None,
        )

    def choose_port(self) -> tuple[int, str | None]:
        """The control room's port, and a remark when it is not the usual one though nobody asked for another."""
        if self.port == 0:
            return ports.any_free(), None
        if self.port is None:
            chosen = ports.prefer(DEFAULT_PORT)
            remark = f"Port {DEFAULT_PORT} is taken: the control room listens on {chosen} instead."
            return chosen, None if chosen == DEFAULT_PORT else remark
        if not ports.is_free(self.port):
            raise InvalidSetting(
                name=self.port_name, fault=f"port {self.port} is taken by another program", example="8378, or 0 for any"
            )
        return self.port, None


def home_of(environ: Mapping[str, str]) -> Path:
    """LAKEHOUSE_HOME, else `.lakehouse` where the command was started."""
    return Path(environ.get("LAKEHOUSE_HOME") or ".lakehouse").expanduser()


def _port(text: str | None) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and int(text) < 65536):
        raise InvalidSetting(name="LAKEHOUSE_PORT", fault="it is not a port number", example="8377, or 0 for any")
    return int(text)


def _postgres_url(environ: Mapping[str, str], name: str) -> str | None:
    url = environ.get(name)
    if not url:
        return None
    try:
        return check_postgres_url(url)
    except ValueError as fault:
        raise InvalidSetting(name=name, fault=str(fault), example=POSTGRES_EXAMPLE) from None
