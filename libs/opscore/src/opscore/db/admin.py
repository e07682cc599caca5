"""What the bring-up does to a Postgres before and beside its migrations.

Called by the embedded stack (with the superuser's connection string) and by the test fixtures. Every call opens
one connection and closes it: these run once per start, never on a hot path.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import secrets
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from datetime import timedelta
from urllib.parse import quote, urlsplit

import asyncpg

from opscore.domain.errors import ControlPlaneUnavailable, NotAllowed

PATIENCE = timedelta(seconds=30)
SCRAM_ITERATIONS = 4096
RETRY_SECONDS = 0.03
CONNECT_SECONDS = 15


def with_database(dsn: str, name: str) -> str:
    """The same server, user and password, another database."""
    return urlsplit(dsn)._replace(path=f"/{quote(name, safe='')}").geturl()


async def wait_until_ready(dsn: str, patience: timedelta = PATIENCE) -> None:
    """Return once a session on the server answered a query; ControlPlaneUnavailable when it never does."""
    loop = asyncio.get_running_loop()
    give_up = loop.time() + patience.total_seconds()
    while True:
        try:
            await server_version(dsn)
        except ControlPlaneUnavailable:
            if loop.time() >= give_up:
                raise
            await asyncio.sleep(RETRY_SECONDS)
        else:
            return


async def server_version(dsn: str) -> str:
    """The server's version as a person says it: `15.18`, `18.4`."""
    async with _session(dsn) as connection:
        version = str(await connection.fetchval("show server_version"))
    return version.split(maxsplit=1)[0]


async def create_database(dsn: str, name: str, *, template: str | None = None) -> bool:
    """Create the database unless it is there; True when it was made. template must have no sessions."""
    async with _session(dsn) as connection:
        if await connection.fetchval("select true from pg_catalog.pg_database where datname = $1", name):
            return False
        source = f" template {_identifier(template)}" if template else ""
        try:
            await connection.execute(f"create database {_identifier(name)}{source}")
        except asyncpg.DuplicateDatabaseError:
            return False
    return True


async def drop_database(dsn: str, name: str) -> None:
    """Drop the database, ending its sessions; nothing happens when it is not there."""
    async with _session(dsn) as connection:
        await connection.execute(f"drop database if exists {_identifier(name)} with (force)")


async def set_role_password(dsn: str, role: str, password: str) -> None:
    """Give a role its password. Only the verifier travels, so that no log can hold the password."""
    await set_role_passwords(dsn, [(role, password)])


async def set_role_passwords(dsn: str, pairs: Iterable[tuple[str, str]]) -> None:
    """The same for many (role, password), over one connection."""
    async with _session(dsn) as connection:
        for role, password in pairs:
            verifier = _scram_verifier(password, secrets.token_bytes(16))
            await connection.execute(f"alter role {_identifier(role)} with login password '{verifier}'")


@asynccontextmanager
async def _session(dsn: str) -> AsyncGenerator[asyncpg.Connection, None]:
    where = urlsplit(dsn)
    try:
        connection = await asyncpg.connect(dsn, timeout=CONNECT_SECONDS)
    except asyncpg.InvalidPasswordError as error:
        raise NotAllowed(
            f"Postgres at {where.hostname}:{where.port or 5432} does not accept the password of role {where.username}.",
            hint="Correct user and password in LAKEHOUSE_DATABASE_URL.",
        ) from error
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
        raise ControlPlaneUnavailable(reason=str(error) or type(error).__name__) from error
    try:
        yield connection
    except asyncpg.InsufficientPrivilegeError as error:
        raise NotAllowed(
            f"Role {where.username} may not do this on {where.hostname}:{where.port or 5432}: {error}."
        ) from error
    except (asyncpg.PostgresConnectionError, asyncpg.InterfaceError, OSError) as error:
        raise ControlPlaneUnavailable(reason=str(error) or type(error).__name__) from error
    finally:
        await connection.close()


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _scram_verifier(password: str, salt: bytes) -> str:
    """RFC 5803 text as Postgres stores it. password: printable ASCII (ours are random), so SASLprep changes nothing."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, SCRAM_ITERATIONS)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    stored_key = hashlib.sha256(client_key).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    b64 = [base64.b64encode(part).decode() for part in (salt, stored_key, server_key)]
    return f"SCRAM-SHA-256${SCRAM_ITERATIONS}:{b64[0]}${b64[1]}:{b64[2]}"
