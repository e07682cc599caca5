"""The control room's page in a real headless browser: what the control plane knows is what a person sees."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lakehouse.embedded.ports import any_free
from lakehouse.embedded.throwaway import ThrowawayPostgres
from support.browser import CHROMIUM, Page, browsing
from support.house import House, opened
from support.plane import ENVIRONMENT

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: install Debian's package `chromium`")


@pytest.fixture
async def house(postgres: ThrowawayPostgres, control_dsn: str, tmp_path: Path) -> AsyncIterator[House]:
    async with opened(postgres, control_dsn, "postgresql://nowhere/none", tmp_path) as house:
        yield house


@pytest.fixture
async def room(house: House) -> str:
    """The address of a control room that serves the page."""
    port = any_free()
    house.start("controlroom", LAKEHOUSE_PORT=str(port))
    await house.ready("controlroom")
    return f"http://127.0.0.1:{port}"


@pytest.fixture
async def page(tmp_path: Path) -> AsyncIterator[Page]:
    async with browsing(tmp_path) as page:
        yield page


async def test_an_empty_room_names_the_next_step(room: str, page: Page) -> None:
    await page.open(room)

    text = await page.shows("No run yet.", "No table is published yet.")

    assert "lakehouse demo" in text
    assert "lakehouse pipeline run odoo_ingest_bronze" in text


async def test_a_run_that_comes_while_somebody_looks_is_shown_with_its_state(
    house: House, room: str, page: Page
) -> None:
    await house.apply(["silver_to_gold"], after=[])
    await page.open(room)
    await page.shows("No run yet.")

    await house.db.fetch("select * from ops.enqueue_run($1, 'silver_to_gold')", ENVIRONMENT)

    text = await page.shows("silver_to_gold", "queued")
    assert "No run yet." not in text


async def test_a_run_that_is_opened_shows_its_parameters_and_events(house: House, room: str, page: Page) -> None:
    await house.apply(["silver_to_gold"], after=[])
    run_id = await house.enqueue("silver_to_gold")
    await page.open(room)
    await page.shows("silver_to_gold", "queued")

    await page.click(f"a[href='/runs/{run_id}']")

    text = await page.shows(str(run_id), "run created")
    assert "as_of=2026-06-30" in text
