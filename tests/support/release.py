"""The code of a release, as it was, in a folder of its own: to run beside the present one."""

from __future__ import annotations

import os
import subprocess
import tarfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MEMBERS = (
    "libs/opscore", "services/dispatcher", "services/executor", "services/scorer", "services/notifier",
    "services/controlroom", "apps/lakehouse",
)  # fmt: skip


@dataclass(frozen=True)
class Release:
    """version: as in RELEASES. folder: its tree."""

    version: str
    folder: Path

    @property
    def migrations(self) -> Path:
        return self.folder / "supabase" / "migrations"

    @property
    def queries(self) -> list[Path]:
        return sorted((self.folder / "libs/opscore/src/opscore/db/queries").glob("*.sql"))

    @property
    def path(self) -> str:
        """PYTHONPATH that puts this release before what is installed, and the tests' helpers behind it."""
        sources = [str(self.folder / member / "src") for member in MEMBERS]
        return os.pathsep.join([*sources, str(ROOT / "tests")])


def commit_of(version: str) -> str:
    lines = (ROOT / "RELEASES").read_text().splitlines()
    return next(line.split()[1] for line in lines if line.startswith(f"{version} "))


def check_out(version: str, folder: Path) -> Release:
    """Skips the test where the repository's history is not at hand."""
    commit = commit_of(version)
    archive = subprocess.run(["git", "archive", commit], cwd=ROOT, capture_output=True, check=False)
    if archive.returncode:
        why = archive.stderr.decode().strip()
        pytest.skip(
            f"{version} is commit {commit}, which is not here ({why}); `git fetch --unshallow` brings it into a shallow clone"
        )
    with tarfile.open(fileobj=BytesIO(archive.stdout)) as tree:
        tree.extractall(folder, filter="data")
    return Release(version, folder)
