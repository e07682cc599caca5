"""The source that a demo left on this home's Postgres: every later start finds it again.

Called by the demo, which makes it, and by the bring-up, which tells the services. Only the database's name is kept (in
`<home>/source.json`); the address is the running server's and the password is among the home's secrets.
"""

from __future__ import annotations

from urllib.parse import quote, urlsplit

from lakehouse.embedded.credentials import Credentials
from lakehouse.embedded.files import read_json, write_json
from lakehouse.embedded.settings import StackSettings
from opscore.db import admin

SETTING = "ODOO_DATABASE_URL"
READER = "odoo_reader"
FILE = "source.json"


def remember(settings: StackSettings, database: str) -> None:
    """Later starts read this database of the stack's server."""
    write_json(settings.home / FILE, {"database": database, "server": _server(settings)})


def forget(settings: StackSettings) -> None:
    """The source is another one now; whoever gave its address gives it again."""
    (settings.home / FILE).unlink(missing_ok=True)


def remembered(settings: StackSettings, server_dsn: str) -> dict[str, str]:
    """The setting that names the source, empty when no demo left one there. server_dsn: how the server is reached."""
    kept, password = read_json(settings.home / FILE), Credentials(settings.home).get(READER)
    if password is None or kept.get("server") != _server(settings):
        return {}
    return {SETTING: reader_url(server_dsn, kept["database"], password)}


def reader_url(server_dsn: str, database: str, password: str) -> str:
    """How the executor reads a database of the server."""
    parts = urlsplit(admin.with_database(server_dsn, database))
    where = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{READER}:{quote(password, safe='')}@{where}").geturl()


def _server(settings: StackSettings) -> str:
    """Which server that is, without its password; the stack's own may change its port and stays the same."""
    url = settings.direct_url or settings.database_url
    return urlsplit(url).netloc.rpartition("@")[2] if url else "embedded"
