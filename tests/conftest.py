"""A real, throw-away Postgres for every test that asks for one.

`postgres` starts a server once per session; LAKEHOUSE_TEST_PG chooses it (a folder of binaries, or `wheel`; without
it the newest on the system, else the wheel). `control_dsn` is a fresh control plane, all migrations applied,
cloned from a template made once, so that every test has its own; `plane` talks to it as its owner. With LAKEHOUSE_TEST_ALL a test that is skipped because
something is missing fails, but for what a machine may rightly lack.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Generator, Iterator

import asyncpg
import pytest
from hypothesis import HealthCheck, settings

from lakehouse.embedded.throwaway import ThrowawayPostgres
from opscore.db import admin
from opscore.db.pool import set_codecs
from support.aside import aside
from support.plane import Plane

settings.register_profile("patient", settings(deadline=None, suppress_health_check=[HealthCheck.too_slow]))
settings.load_profile("patient")  # a busy machine is no fault of what is tested

TEMPLATE = "lakehouse_template"
SERVICE_ROLES = tuple(
    f"lakehouse_{service}" for service in ("dispatcher", "executor", "scorer", "notifier", "controlroom")
)
SERVICE_PASSWORD = "for-tests-only"
MAY_BE_ABSENT = (
    "LAKEHOUSE_TEST_ODOO_DUMP",
    "IPv6",
    "without libxml",
    "only root",
    "from Postgres 14 on",
    "into a shallow clone",
)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """CI has every component: a skip there hides that one is lost."""
    report = yield
    if report.skipped and os.environ.get("LAKEHOUSE_TEST_ALL"):
        reason = str(report.longrepr)
        if not any(words in reason for words in MAY_BE_ABSENT):
            report.outcome, report.longrepr = "failed", f"skipped where nothing may be missing: {reason}"
    return report


@pytest.fixture(scope="session")
def postgres() -> Iterator[ThrowawayPostgres]:
    """A real server, chosen by LAKEHOUSE_TEST_PG; nothing of it stays behind."""
    server = ThrowawayPostgres(bindir=os.environ.get("LAKEHOUSE_TEST_PG"), role_password=SERVICE_PASSWORD)
    try:
        aside(server.start)
        yield server
    finally:
        aside(server.stop)


@pytest.fixture(scope="session")
def control_template(postgres: ThrowawayPostgres) -> str:
    """Name of a database with all migrations applied and no sessions; service roles can log in to its clones."""

    async def make() -> None:
        from opscore.db.migrate import migrate

        await admin.create_database(postgres.dsn(), TEMPLATE)
        await migrate(postgres.dsn(TEMPLATE))
        await admin.set_role_passwords(postgres.dsn(), [(role, SERVICE_PASSWORD) for role in SERVICE_ROLES])

    aside(make)
    return TEMPLATE


@pytest.fixture
async def control_dsn(postgres: ThrowawayPostgres, control_template: str) -> AsyncIterator[str]:
    """A control plane of this test's own (superuser). `postgres.dsn(name, role=…)` gives a service's view of it."""
    dsn = await postgres.create_database("control", template=control_template)
    yield dsn
    await postgres.drop_database(dsn)


@pytest.fixture
async def plane(control_dsn: str) -> AsyncIterator[Plane]:
    """The test's control plane, as its owner sees it."""
    connection = await asyncpg.connect(control_dsn)
    await set_codecs(connection)
    yield Plane(connection, control_dsn)
    await connection.close()
