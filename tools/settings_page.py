"""The page of all settings, made from the settings classes. Called by generate.py; a field without a meaning fails."""

from __future__ import annotations

from pydantic_core import PydanticUndefined

from lakehouse_controlroom.settings import ControlroomSettings
from lakehouse_dispatcher.settings import DispatcherSettings
from lakehouse_executor.settings import ExecutorSettings
from lakehouse_notifier.settings import NotifierSettings
from lakehouse_scorer.settings import ScorerSettings
from opscore.config import LakeSettings, Settings

HEAD = """# Settings

Generated from the settings classes by `make generate`. Everything is read from the environment once, at start.
A setting that does not parse stops the start with its name, the fault and an example; secrets never appear in output.

## The embedded stack (`lakehouse up`, `demo`)

| setting | default | meaning |
|---|---|---|
| `LAKEHOUSE_HOME` | `.lakehouse/` | state of the stack: Postgres data, warehouse, logs, secrets |
| `LAKEHOUSE_DATABASE_URL` | an embedded Postgres | control plane to use instead |
| `LAKEHOUSE_PG_BINDIR` | newest system Postgres, else the wheel | folder of Postgres binaries, or `wheel` |
| `LAKEHOUSE_WAREHOUSE` | `<home>/warehouse` | where tables and artifacts are kept |
| `LAKEHOUSE_PORT` | `8377`, else a free one | the control room's port on loopback; `0` for any |
| `ODOO_DATABASE_URL` | | the Odoo database that `odoo_ingest_bronze` reads |

The stack gives each service the settings below, with a database role of its own.
"""

MEANING = {
    "database_url": "the control plane; pooled or direct",
    "direct_url": "the same for the one LISTEN connection, which must not pass a transaction pooler",
    "event_key": "where the Ed25519 key is that signs the event log's seals (`file:` or `env:`); unset: unsigned",
    "health_port": "loopback port of `/health` and `/metrics`; 0 for any",
    "health_file": "file that the chosen health port is written to",
    "log_format": "`json` or `console`",
    "log_level": "`debug`, `info`, `warning` or `error`",
    "warehouse": "`file:///absolute/path` or `s3://bucket/prefix`",
    "s3_endpoint": "S3 endpoint, when it is not AWS",
    "s3_access_key_id": "S3 key",
    "s3_secret_access_key": "S3 secret",
    "s3_region": "S3 region",
    "executor_name": "unique among live executors; default: host, process and a random part",
    "executor_kind": "`edge` gets light runs first, `container` heavy ones",
    "executor_engines": "SQL engines it can run, comma-separated",
    "executor_size": "the largest class of run it has room for: small, medium or large",
    "executor_capabilities": "what else runs may require of it, comma-separated",
    "executor_slots": "runs at once",
    "executor_workers": "worker processes at once",
    "executor_drain_s": "seconds that running work may go on after SIGTERM",
    "executor_claim_after_s": "seconds without work from a dispatcher after which it helps itself",
    "executor_cancel_grace_s": "seconds between asking a worker process to stop and killing it",
    "executor_price_compute_second": "money per CPU second of its workers, for caps on cost",
    "executor_price_byte": "money per byte published, for caps on cost",
    "dispatcher_batch": "runs moved by one statement",
    "dispatcher_scan_s": "seconds between scans while the doorbell is proven",
    "dispatcher_leader_ttl_s": "seconds after which a standby takes over from a silent leader",
    "port": "the control room's port on loopback; 0 for any",
    "token": "what writes to the API must carry as a bearer token; without it there are no writes",
    "environment": "the environment that the page and API show",
    "webhook_allow": "hosts and networks, comma-separated, that notifications may reach although they are not public",
    "propose_every_s": "seconds between two looks at history for better weights; 0 for never",
    "api_url": "the control room's address for links in notifications",
}

SERVICES: tuple[tuple[str, type[Settings], type[Settings]], ...] = (
    ("dispatcher", DispatcherSettings, Settings),
    ("executor", ExecutorSettings, LakeSettings),
    ("scorer", ScorerSettings, Settings),
    ("notifier", NotifierSettings, Settings),
    ("controlroom", ControlroomSettings, Settings),
)


def settings_page() -> str:
    """The page as Markdown."""
    parts = [
        HEAD,
        _section("Every service", Settings, ()),
        _section("Services that touch the lake", LakeSettings, Settings.model_fields),
    ]
    for name, kind, base in SERVICES:
        own = set(kind.model_fields) - set(base.model_fields)
        if own:
            parts.append(_section(f"`lakehouse-{name}`", kind, base.model_fields))
    return "\n".join(parts)


def _section(title: str, kind: type[Settings], known: object) -> str:
    skip = set(known)  # type: ignore[call-overload]
    rows = [
        _row(name, field.default, required=field.is_required())
        for name, field in kind.model_fields.items()
        if name not in skip
    ]
    return f"## {title}\n\n| setting | default | meaning |\n|---|---|---|\n" + "".join(rows)


def _row(name: str, default: object, *, required: bool) -> str:
    shown = "required" if required else "" if default in {None, PydanticUndefined, ""} else f"`{default}`"
    return f"| `LAKEHOUSE_{name.upper()}` | {shown} | {MEANING[name]} |\n"
