"""Which Odoo the demo reads: a given one, a dump, or one that it generates. Used by `lakehouse demo`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lakehouse.demo.database import SourceServer, source_server
from lakehouse.demo.dump import restored
from lakehouse.embedded import source
from lakehouse.embedded.settings import StackSettings
from opscore.config import POSTGRES_EXAMPLE, check_postgres_url
from opscore.db import admin
from opscore.db.load import loading
from opscore.domain.errors import InvalidSetting

NAME = source.SETTING
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """given: a URL to use as it is. dump: a gzipped SQL dump. scale: of the generated ERP."""

    given: str | None = None
    dump: Path | None = None
    scale: float = 1.0


async def source_url(wanted: Wanted, settings: StackSettings, say: Say) -> str:
    """The connection string for ODOO_DATABASE_URL; what it names is there. A dump wins over a given URL.

    What was made here is remembered for later starts of the stack; a given URL, which holds a password, is not.
    """
    if wanted.dump is None and wanted.given:
        url = _checked(wanted.given)
        source.forget(settings)
        return url
    async with source_server(settings) as server:
        database = await (restored(server, wanted.dump, say) if wanted.dump else _generated(server, wanted.scale, say))
        url = await server.reader_url(database)
    source.remember(settings, database)
    return url


def erp_name(scale: float) -> str:
    """`odoo_demo`, and the scale when it is not 1."""
    return "odoo_demo" if scale == 1 else f"odoo_demo_{scale:g}".replace(".", "_")


async def _generated(server: SourceServer, scale: float, say: Say) -> str:
    from lakehouse.erp.generate import generate  # noqa: PLC0415 - numpy is slow to import

    name = erp_name(scale)
    dsn = admin.with_database(server.dsn, name)
    if not await admin.create_database(server.dsn, name) and await _is_filled(dsn):
        return name
    say(f"Generating an Odoo-shaped ERP in database {name}.")
    summary = await generate(dsn, scale=scale)
    say(f"Generated {len(summary.tables)} tables with {summary.rows:,} rows in {summary.seconds:.1f} s.")
    return name


async def _is_filled(dsn: str) -> bool:
    """A generation that was stopped leaves the database empty."""
    async with loading(dsn) as session:
        return bool(await session.fetch("select 1 from pg_catalog.pg_tables where schemaname = 'public' limit 1"))


def _checked(url: str) -> str:
    try:
        return check_postgres_url(url)
    except ValueError as fault:
        raise InvalidSetting(name=NAME, fault=str(fault), example=POSTGRES_EXAMPLE) from None
