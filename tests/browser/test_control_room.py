"""The control room's page in a real headless browser: what the control plane knows is what a person sees."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lakehouse.embedded.ports import any_free
from lakehouse.embedded.throwaway import ThrowawayPostgres
from support.house import House, opened
from support.plane import ENVIRONMENT

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--virtual-time-budget=4000",
)  # fmt: skip

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: install Debian's package `chromium`")


@pytest.fixture
async def room(postgres: ThrowawayPostgres, control_dsn: str, tmp_path: Path) -> AsyncIterator[tuple[House, str]]:
    """A control room that serves the page, and its address."""
    async with opened(postgres, control_dsn, "postgresql://nowhere/none", tmp_path) as house:
        port = any_free()
        house.start("controlroom", LAKEHOUSE_PORT=str(port))
        await house.ready("controlroom")
        yield house, f"http://127.0.0.1:{port}"


async def seen(url: str, folder: Path) -> str:
    """The page's document after its scripts ran."""
    browser = await asyncio.create_subprocess_exec(
        str(CHROMIUM), *FLAGS, f"--user-data-dir={folder / 'profile'}", "--dump-dom", url,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL, env={**os.environ, "HOME": str(folder)},
    )  # fmt: skip
    document, _ = await asyncio.wait_for(browser.communicate(), 60)
    return document.decode()


async def test_an_empty_room_names_the_next_step(room: tuple[House, str], tmp_path: Path) -> None:
    _, url = room

    document = await seen(url, tmp_path)

    assert "lakehouse pipeline" in document or "lakehouse demo" in document


async def test_a_run_is_shown_with_its_pipeline_and_state(room: tuple[House, str], tmp_path: Path) -> None:
    house, url = room
    await house.apply(["silver_to_gold"], after=[])
    await house.db.fetch("select * from ops.enqueue_run($1, 'silver_to_gold')", ENVIRONMENT)

    document = await seen(url, tmp_path)

    assert "silver_to_gold" in document
    assert "queued" in document
