"""One generated ERP at scale 1, made once; tests that change it work on a clone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from lakehouse.embedded.throwaway import ThrowawayPostgres
from lakehouse.erp import generate
from support.erp import Erp


@pytest.fixture(scope="session")
def erp(postgres: ThrowawayPostgres) -> Iterator[Erp]:
    """The one at scale 1. Read it, do not change it."""

    async def make() -> Erp:
        dsn = await postgres.create_database("erp")
        return Erp(dsn, await generate(dsn))

    with ThreadPoolExecutor(max_workers=1) as thread:  # a loop of its own: the tests' loops come and go
        yield thread.submit(lambda: asyncio.run(make())).result()


@pytest.fixture
async def own_erp(postgres: ThrowawayPostgres, erp: Erp) -> AsyncIterator[Erp]:
    """A clone to change."""
    template = erp.dsn.rpartition("/")[2].partition("?")[0]
    dsn = await postgres.create_database("erp_clone", template=template)
    yield Erp(dsn, erp.summary)
    await postgres.drop_database(dsn)
