"""A folder that every account on the machine can enter: pytest's own lets nobody but us through."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def open_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="lakehouse-open-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)
