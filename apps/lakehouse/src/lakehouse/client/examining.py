"""What `doctor` looks at, one function per finding. Every finding that is not ok names the next step.

A check never raises: what it cannot find out is a finding too.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from lakehouse.client import upkeep
from lakehouse.client.finding import FAIL, OK, WARN, Finding, graded
from lakehouse.client.lakehouse import APPLICATION, Lakehouse, open_target
from lakehouse.client.target import Target, find_stack
from lakehouse.embedded import binaries, stack
from lakehouse.embedded.programs import SERVICES, script
from lakehouse.embedded.settings import StackSettings
from lakehouse.embedded.status import State
from opscore.db.migrate import read_migrations
from opscore.db.pool import open_database
from opscore.domain.errors import OpsError
from opscore.ports.people import Json

GIB = 1024**3
LITTLE_SPACE, TOO_LITTLE_SPACE = 5 * GIB, GIB // 2
BUSY_QUEUE = (0.05, 0.5)
APPLIED = "select version from supabase_migrations.schema_migrations"


async def examine(environ: Mapping[str, str] = os.environ) -> list[Finding]:
    """All findings, those that need nothing first."""
    try:
        settings = StackSettings.load(environ)
    except OpsError as error:
        return [_python(), _fault("settings", error)]
    findings = [_python(), *_scripts(), *_postgres_binaries(settings), _space(settings), _warehouse(settings)]
    try:
        target = find_stack(environ)
    except OpsError as error:
        return [*findings, _fault("stack", error)]
    if not settings.database_url:
        findings += await _services()
    return [*findings, *await _control_plane(target)]


def _python() -> Finding:
    version = ".".join(str(part) for part in sys.version_info[:3])
    return Finding("python", OK if sys.version_info >= (3, 11) else FAIL, version, "")


def _scripts() -> list[Finding]:
    missing = [name for name in SERVICES if not _has_script(f"lakehouse-{name}")]
    if missing:
        return [Finding("programs", FAIL, f"not installed: {', '.join(missing)}", "Run `make setup`.")]
    return [Finding("programs", OK, f"{len(SERVICES)} services are installed")]


def _has_script(name: str) -> bool:
    try:
        return bool(script(name))
    except OpsError:
        return False


def _postgres_binaries(settings: StackSettings) -> list[Finding]:
    if settings.database_url:
        return []
    try:
        chosen = binaries.choose(settings.bindir)
    except OpsError as error:
        return [_fault("postgres binaries", error)]
    return [Finding("postgres binaries", OK, f"{chosen.version} from {chosen.folder}")]


def _space(settings: StackSettings) -> Finding:
    free = shutil.disk_usage(_existing(settings.home)).free
    detail = f"{free / GIB:.1f} GiB free at {settings.home}"
    if free >= LITTLE_SPACE:
        return Finding("disk space", OK, detail)
    result = WARN if free >= TOO_LITTLE_SPACE else FAIL
    return Finding("disk space", result, detail, "Free space, or move LAKEHOUSE_HOME.")


def _warehouse(settings: StackSettings) -> Finding:
    parts = urlsplit(settings.warehouse)
    if parts.scheme != "file":
        return Finding("warehouse", OK, f"{settings.warehouse} (not local: the executor checks it)")
    folder = Path(unquote(parts.path))
    if os.access(_existing(folder), os.W_OK):
        return Finding("warehouse", OK, settings.warehouse)
    remedy = "Give this account write access, or point LAKEHOUSE_WAREHOUSE elsewhere."
    return Finding("warehouse", FAIL, f"{folder} cannot be written to", remedy)


def _existing(path: Path) -> Path:
    return next(folder for folder in (path, *path.parents) if folder.exists())


async def _services() -> list[Finding]:
    found = await stack.status()
    bad = [one for one in found.services if one.state is not State.RUNNING]
    if bad:
        names = ", ".join(f"{one.name} is {one.state}" for one in bad)
        return [Finding("services", FAIL, names, f"Look into {StackSettings.load(os.environ).home / 'logs'}.")]
    return [Finding("services", OK, f"{len(found.services)} run")]


async def _control_plane(target: Target) -> list[Finding]:
    try:
        async with open_target(target) as lakehouse:
            vitals = await lakehouse.people.vitals()
            found = [Finding("database", OK, f"Postgres {vitals['server_version']} as role {vitals['role']}")]
            found += await _guarded("migrations", lambda: _migrations(target))
            found += _from(vitals)
            return [*found, *await _guarded("upkeep", lambda: _upkeep(lakehouse))]
    except OpsError as error:
        return [_fault("database", error)]


async def _guarded(check: str, look: Callable[[], Awaitable[list[Finding]]]) -> list[Finding]:
    try:
        return await look()
    except OpsError as error:
        return [_fault(check, error)]


async def _upkeep(lakehouse: Lakehouse) -> list[Finding]:
    asked_at = time.time()
    found = await lakehouse.upkeep.upkeep()
    return upkeep.judge(found, asked_at, time.time())


async def _migrations(target: Target) -> list[Finding]:
    async with open_database(target.owner_dsn, application=APPLICATION) as database:
        applied = {row["version"] for row in await database.fetch(APPLIED)}
    missing = [migration.version for migration in read_migrations() if migration.version not in applied]
    if missing:
        return [Finding("migrations", FAIL, f"missing: {', '.join(missing)}", "Run `lakehouse migrate`.")]
    return [Finding("migrations", OK, "all are applied")]


def _from(vitals: Json) -> list[Finding]:
    usage = float(vitals["notify_queue_usage"])
    open_runs = ", ".join(f"{count} {state}" for state, count in sorted(vitals["open_runs"].items())) or "none"
    found = [
        _executors(**vitals["executors"]),
        Finding("open runs", OK, open_runs),
        graded("notify queue", usage, BUSY_QUEUE, f"{usage:.1%} in use", UNREAD),
    ]
    if vitals["paused"]:
        found.append(Finding("dispatching", WARN, f"paused: {vitals['paused']}", "`lakehouse resume` lets work start."))
    return found


NO_EXECUTOR = Finding("executors", FAIL, "none is alive", "`lakehouse up --detach` or `lakehouse-executor` starts one.")
DRAINED = "`lakehouse executor undrain NAME` lets one take work again."
UNREAD = "A session listens and does not read; find it in pg_stat_activity and end it."


def _executors(*, alive: int, draining: int) -> Finding:
    if not alive:
        return NO_EXECUTOR
    if alive == draining:
        return Finding("executors", WARN, f"{alive} alive, all being drained: nobody takes work", DRAINED)
    return Finding("executors", OK, f"{alive} alive" + (f", {draining} being drained" if draining else ""))


def _fault(check: str, error: OpsError) -> Finding:
    return Finding(check, FAIL, error.message, error.hint)
