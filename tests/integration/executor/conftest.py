"""Services on a control plane of each test's own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from lakehouse.embedded.throwaway import ThrowawayPostgres
from support.services import Services


@pytest.fixture
async def services(postgres: ThrowawayPostgres, control_dsn: str, tmp_path: Path) -> AsyncIterator[Services]:
    """Nothing runs yet; what the test starts is ended."""
    name = urlsplit(control_dsn).path.removeprefix("/")
    started = Services(tmp_path, lambda role: postgres.dsn(name, role=role))
    listening = asyncio.create_task(started.bell.run())
    yield started
    started.end()
    listening.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await listening
