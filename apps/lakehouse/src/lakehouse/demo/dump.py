"""Loads a plain SQL dump (`pg_dump | gzip`) into a database of its own, once per content.

The dump streams from gunzip into psql's standard input. psql runs restricted: a line in the dump that would run a
program on this machine is refused. What a bare Postgres lacks (roles, extensions, what is built on them) is left out:
the lake needs tables and rows.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import secrets
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO
from urllib.parse import unquote, urlsplit

import anyio

from lakehouse.demo.database import SourceServer
from lakehouse.embedded.cluster import environment
from opscore.db import admin
from opscore.db.load import loading
from opscore.domain.errors import InvalidInput, NotFound

# undefined object (role, operator class), extension not available (two spellings), undefined function
MISSING_HERE = frozenset({"42704", "0A000", "58P01", "42883"})
# of the server (with its SQLSTATE) and of psql itself (without)
FAULT = re.compile(r"^psql:[^:]*:\d+: (?:ERROR:  |FATAL:  |error: )(?:([0-9A-Z]{5}): )?(.*)$", re.MULTILINE)
RESTRICTION = re.compile(rb"^\\(un)?restrict ")
COPY = re.compile(rb"^COPY .* FROM stdin;\s*$")
CHUNK = 1 << 20


async def restored(server: SourceServer, dump: Path, say: Callable[[str], None]) -> str:
    """Name of the database that holds the dump; loads it when it is not there. Raises NotFound and InvalidInput."""
    name = await anyio.to_thread.run_sync(database_of, dump)
    if await _exists(server, name):
        return name
    say(f"Loading {dump.name} into database {name}.")
    draft = f"{name}_draft"
    await admin.drop_database(server.dsn, draft)
    await admin.create_database(server.dsn, draft)
    await anyio.to_thread.run_sync(_load, server, draft, dump)
    await _rename(server, draft, name)
    return name


def database_of(dump: Path) -> str:
    """`odoo_` and the first 16 digits of the file's SHA-256. Raises NotFound."""
    try:
        with dump.open("rb") as file:
            return f"odoo_{hashlib.file_digest(file, 'sha256').hexdigest()[:16]}"
    except OSError as error:
        raise NotFound(
            f"The dump {dump} cannot be read: {error.strerror}.", hint="Name a file made by `pg_dump | gzip`."
        ) from error


def harmless(lines: Iterator[bytes]) -> Iterator[bytes]:
    """The dump's lines between our own restriction and its end; the dump's own restriction is dropped."""
    key = secrets.token_hex(16).encode()
    yield b"\\restrict " + key + b"\n"
    in_data = False
    for line in lines:
        if in_data:
            in_data = line.rstrip(b"\r\n") != b"\\."
        elif RESTRICTION.match(line):
            continue
        else:
            in_data = COPY.match(line) is not None
        yield line
    yield b"\n\\unrestrict " + key + b"\n"


def _load(server: SourceServer, database: str, dump: Path) -> None:
    with tempfile.TemporaryFile() as said:
        psql = _psql(server, database, said)
        assert psql.stdin is not None  # noqa: S101 - asked for below
        try:
            with gzip.open(dump, "rb") as file, psql.stdin as pipe:
                for line in harmless(iter(file)):
                    pipe.write(line)
        except BrokenPipeError:
            pass  # psql gave up: what it said stands below
        except (OSError, EOFError) as error:
            raise InvalidInput(
                f"{dump} is not a whole gzip file: {error}.", hint="Name a file made by `pg_dump | gzip`."
            ) from error
        finally:
            code = psql.wait()
        said.seek(0)
        _judge(dump, code, said.read().decode("utf-8", "replace"))


def _psql(server: SourceServer, database: str, said: IO[bytes]) -> subprocess.Popen[bytes]:
    parts = urlsplit(server.dsn)
    own = {
        "PGHOST": parts.hostname or "",
        "PGPORT": str(parts.port or 5432),
        "PGUSER": unquote(parts.username or ""),
        "PGPASSWORD": unquote(parts.password or ""),
        "PGDATABASE": database,
        "PGOPTIONS": "-c synchronous_commit=off -c client_min_messages=error",
    }
    options = ["--no-psqlrc", "--quiet", "--set=VERBOSITY=verbose", "--output", os.devnull, "--file=-"]
    argv = [server.programs.tool("psql"), *options]
    return subprocess.Popen(argv, env={**environment(), **own}, stdin=subprocess.PIPE, stderr=said)  # noqa: S603 - our own argv


def _judge(dump: Path, code: int, said: str) -> None:
    faults = [(state, text) for state, text in FAULT.findall(said) if state not in MISSING_HERE]
    if faults:
        state, text = faults[0]
        raise InvalidInput(
            f"{dump} does not load: {text} (SQLSTATE {state or 'none'}; {len(faults)} faults in all).",
            hint="Make the dump with `pg_dump --format=plain`, whole, from a Postgres no newer than this one.",
        )
    if code != 0:
        last = (said.strip().splitlines() or ["it gave no reason"])[-1]
        raise InvalidInput(f"{dump} does not load: psql ended with {code}: {last}.", hint="Is it a plain SQL dump?")


async def _exists(server: SourceServer, name: str) -> bool:
    async with loading(server.dsn) as session:
        return bool(await session.fetch("select 1 from pg_catalog.pg_database where datname = $1", name))


async def _rename(server: SourceServer, draft: str, name: str) -> None:
    async with loading(server.dsn) as session:
        await session.execute(f'alter database "{draft}" rename to "{name}"')
