"""Runs pgTAP files without psql: one statement after the other over one connection, and reads what they answer.

Called by the tests of tenancy. pgTAP itself comes from `tools/pgtap.sh`; its SQL is loaded into a schema of its own in
the test's database, so that any Postgres will do, one that has no extensions at all too.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg

ROOT = Path(__file__).parents[2]
NOT_TO_BE_HAD = 3
TOKEN = re.compile(
    r"""
    --[^\n]*                                 # comment to the end of the line
    | /\*.*?\*/                              # comment
    | '(?:[^']|'')*'                         # text
    | "(?:[^"]|"")*"                         # quoted name
    | (?P<tag>\$(?:[A-Za-z_]\w*)?\$).*?(?P=tag)  # dollar-quoted text
    | (?P<end>;)
    """,
    re.DOTALL | re.VERBOSE,
)
ASSERTION = re.compile(r"^(?P<bad>not )?ok \d+(?: - (?P<name>.*))?$", re.MULTILINE)


@dataclass(frozen=True)
class Tap:
    """What a file asserted: how many held, and the names of those that did not, each with pgTAP's own words."""

    passed: int
    failed: list[str]


def statements(script: str) -> Iterator[str]:
    """The statements of a script, in order, without their semicolons."""
    begin = 0
    for token in TOKEN.finditer(script):
        if token["end"]:
            yield script[begin : token.start()]
            begin = token.end()
    if script[begin:].strip():
        yield script[begin:]


class Missing(Exception):
    """pgTAP is neither here nor to be had; the text says why and what to install."""


def pgtap() -> str:
    """pgTAP's SQL without psql's own commands. Raises Missing."""
    found = subprocess.run([ROOT / "tools" / "pgtap.sh"], cwd=ROOT, capture_output=True, text=True, check=False)
    if found.returncode == NOT_TO_BE_HAD:
        raise Missing(found.stderr.strip().splitlines()[-1])
    assert found.returncode == 0, found.stderr
    text = (ROOT / found.stdout.strip()).read_text(encoding="utf-8")
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("\\"))


async def load(connection: asyncpg.Connection, sql: str) -> None:
    """Put pgTAP into the database, in schema tap."""
    await connection.execute("create schema tap")
    await connection.execute("set search_path = tap, public")
    await connection.execute(sql)


async def run(connection: asyncpg.Connection, file: Path) -> Tap:
    """Run a file and count."""
    passed, failed = 0, []
    for statement in statements(file.read_text(encoding="utf-8")):
        for row in await connection.fetch(statement):
            said = row[0] if isinstance(row[0], str) else ""
            for assertion in ASSERTION.finditer(said):
                passed += not assertion["bad"]
                if assertion["bad"]:
                    failed.append(said)
    return Tap(passed, failed)
