"""Where a home's Postgres data lie, and how they are made.

Called by the Postgres launcher. The folder is `<home>/postgres`, or, when the account that runs Postgres cannot reach
the home (root's home below /root, say), a folder of the home's own below /var/lib/lakehouse.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from lakehouse.embedded.account import Account
from lakehouse.embedded.binaries import WHEEL, Binaries, wheel_root, wheel_version
from opscore.domain.errors import ControlPlaneUnavailable, NotAllowed

SHARED_ROOT = Path("/var/lib/lakehouse")
SUPERUSER = "postgres"
LOCALES = ("C.UTF-8", "C")


@dataclass(frozen=True)
class Place:
    """The folder that the account owns; the data are in it."""

    root: Path

    @property
    def data(self) -> Path:
        """PGDATA."""
        return self.root / "data"

    @property
    def data_major(self) -> int | None:
        """Major version of Postgres that made the data; None when there are none."""
        try:
            return int((self.data / "PG_VERSION").read_text(encoding="ascii").strip())
        except (FileNotFoundError, NotADirectoryError):
            return None


def choose(home: Path, account: Account) -> Place:
    """The place for this home, made and owned by the account if it was not there."""
    root = home / "postgres" if account.can("x", home) else _open_to_all(SHARED_ROOT) / name_of(home)
    root.mkdir(mode=0o700, exist_ok=True)
    account.own(root)
    if not account.can("w", root):
        raise NotAllowed(
            f"Account {account.name} runs Postgres but cannot write to {root}.",
            hint="Let the account enter every folder above it, or set LAKEHOUSE_HOME to a folder it can enter.",
        )
    return Place(root)


def name_of(home: Path) -> str:
    """A short name for the home, the same every time."""
    return hashlib.sha256(str(home.resolve()).encode()).hexdigest()[:16]


def set_aside(place: Place) -> Path:
    """Move data nobody has the password of out of the way (the previous ones set aside are dropped)."""
    aside = place.root.with_name(f"{place.root.name}.old")
    if aside.exists():
        shutil.rmtree(aside)
    place.root.replace(aside)
    return aside


def make(place: Place, binaries: Binaries, account: Account, password: str, *, durable: bool = True) -> None:
    """Run initdb: scram passwords, UTF-8, code point order. A crash halfway leaves nothing that looks like data."""
    draft = Path(tempfile.mkdtemp(prefix="initdb-", dir=place.root))
    account.own(draft)
    try:
        _initdb(draft, binaries, account, password, durable=durable)
        (draft / "data").replace(place.data)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _initdb(draft: Path, binaries: Binaries, account: Account, password: str, *, durable: bool) -> None:
    password_file = draft / "password"
    password_file.touch(mode=0o600)
    password_file.write_text(password, encoding="ascii")
    account.own(password_file)
    argv = [binaries.tool("initdb"), "-D", str(draft / "data"), "-U", SUPERUSER, "-E", "UTF8"]
    argv += ["--auth=scram-sha-256", f"--pwfile={password_file}", *([] if durable else ["--no-sync"])]
    said = ""
    for locale in LOCALES:  # not every system knows C.UTF-8
        ran = subprocess.run(  # noqa: S603 - our own argv, no shell
            [*argv, *_locale(binaries, locale)],
            cwd=draft,
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
            **account.as_child,
        )
        if ran.returncode == 0:
            return
        said = ran.stderr.strip()
        if "locale" not in said:
            break
    raise ControlPlaneUnavailable(
        reason=f"initdb of Postgres {binaries.version} ({binaries.folder}) failed: {said}",
        hint="Correct what initdb names, then start again.",
    )


def _locale(binaries: Binaries, locale: str) -> list[str]:
    if binaries.major >= 17:
        return ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", f"--locale={locale}", "--lc-messages=C"]
    return [f"--locale={locale}", "--lc-messages=C"]


def environment() -> dict[str, str]:
    """What a Postgres program needs to know, and nothing of ours (PGPORT, PGPASSWORD, … would mislead it)."""
    return {"PATH": os.environ.get("PATH", os.defpath), "TZ": "UTC"}


def within_reach(binaries: Binaries, account: Account) -> Binaries:
    """The same binaries where the account can run them: a wheel in root's own folders is copied out once."""
    if account.can("x", binaries.folder / "postgres"):
        return binaries
    if binaries.origin != "wheel":
        raise NotAllowed(
            f"Account {account.name} runs Postgres but cannot reach {binaries.folder}.",
            hint="Let the account enter every folder above it, or set LAKEHOUSE_PG_BINDIR to a folder it can enter.",
        )
    installation = binaries.folder.parent.name
    copy = _open_to_all(SHARED_ROOT) / f"{WHEEL}-{wheel_version()}"
    folder = copy / WHEEL / installation / "bin"
    if not folder.exists():
        _copy_wheel(installation, copy)
    return Binaries(folder, binaries.version, "wheel")


def _copy_wheel(installation: str, copy: Path) -> None:
    """Libraries lie beside the package and are found by relative path: the copy keeps that shape."""
    package = wheel_root()
    if package is None:
        return
    shared = package.with_name(f"{WHEEL}.libs")
    _open_to_all(copy / WHEEL)
    if shared.is_dir() and not (copy / shared.name).exists():
        _copy_whole(shared, copy / shared.name)
    _copy_whole(package / installation, copy / WHEEL / installation)


def _open_to_all(folder: Path) -> Path:
    """The folder, made together with those above it so that everybody can enter, whatever the umask."""
    if not folder.exists():
        _open_to_all(folder.parent)
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)
    return folder


def _copy_whole(source: Path, target: Path) -> None:
    draft = Path(tempfile.mkdtemp(prefix=".copy-", dir=target.parent))
    shutil.copytree(source, draft / target.name, symlinks=True, ignore=shutil.ignore_patterns("include"))
    draft.chmod(0o755)
    try:
        (draft / target.name).rename(target)
    except OSError:  # somebody else copied it meanwhile
        if not target.exists():
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
