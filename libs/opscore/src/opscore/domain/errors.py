"""Every way the house can refuse or fail, as one tree. Raised everywhere, translated once at each adapter.

OpsError
├── Temporary                      trying again later may help: the run is retried
│   ├── ControlPlaneUnavailable    CONTROL_PLANE_UNAVAILABLE
│   ├── SourceUnavailable          SOURCE_UNAVAILABLE
│   ├── LakeUnavailable            LAKE_UNAVAILABLE
│   ├── PublishConflict            PUBLISH_CONFLICT
│   ├── CapExceeded                CAP_EXCEEDED
│   ├── DeliveryFailed             DELIVERY_FAILED
│   ├── TimedOut                   TIMED_OUT
│   └── WorkerDied                 WORKER_DIED
├── Permanent                      trying again cannot help: a person must change something
│   ├── InvalidInput               INVALID_INPUT
│   │   ├── InvalidSetting         INVALID_SETTING
│   │   ├── InvalidSpec            INVALID_SPEC
│   │   └── InvalidParameter       INVALID_PARAMETER
│   ├── NotAllowed                 NOT_ALLOWED
│   ├── NotFound                   NOT_FOUND
│   ├── Conflict                   CONFLICT
│   │   └── IdempotencyConflict    IDEMPOTENCY_CONFLICT
│   ├── GateBlocked                GATE_BLOCKED
│   ├── TimeLimit                  TIME_LIMIT
│   ├── SourceRefused              SOURCE_REFUSED
│   │   ├── SourceNotOdoo          SOURCE_NOT_ODOO
│   │   ├── SourceRightMissing     SOURCE_RIGHT_MISSING
│   │   ├── TableWithoutKey        TABLE_WITHOUT_KEY
│   │   ├── UnsupportedType        UNSUPPORTED_TYPE
│   │   ├── UnsupportedValue       UNSUPPORTED_VALUE
│   │   └── SchemaDrift            SCHEMA_DRIFT
│   ├── TransformFailed            TRANSFORM_FAILED
│   ├── QueryFailed                QUERY_FAILED
│   ├── StorageFull                STORAGE_FULL
│   ├── WarehouseMissing           WAREHOUSE_MISSING
│   ├── DeliveryRefused            DELIVERY_REFUSED
│   └── Unexpected                 UNEXPECTED (a fault of ours)
├── LeaseLost                      LEASE_LOST: another attempt owns the run; throw the work away
└── Canceled                       CANCELED: somebody asked for the stop

A class's docstring is its message: `{names}` are filled from the keyword facts. `contracts/errors.yaml` lists
the same codes with SQLSTATE, HTTP status and hint; a test holds the two together.
"""

from __future__ import annotations

from typing import Any, ClassVar


class OpsError(Exception):
    """{message}"""  # noqa: D415 - a template, filled by the raiser

    code: ClassVar[str] = "UNEXPECTED"
    default_hint: ClassVar[str] = "Look at the service's log for the cause; report it if the log does not help."

    def __init__(self, message: str | None = None, *, hint: str | None = None, **facts: Any) -> None:
        """message: what was wrong and where; without it the docstring is filled from facts."""
        self.message = message if message is not None else (type(self).__doc__ or "").format(**facts)
        self.hint = hint or self.default_hint
        self.facts = facts
        super().__init__(self.message)

    def __reduce__(self) -> tuple[Any, ...]:
        """Errors cross process borders: keep message, hint and facts."""
        return _rebuild, (type(self), self.message, self.hint, self.facts)

    def as_json(self) -> dict[str, Any]:
        """The `error` object of a run: code, message and hint."""
        return {"code": self.code, "message": self.message, "hint": self.hint}


def _rebuild(kind: type[OpsError], message: str, hint: str, facts: dict[str, Any]) -> OpsError:
    return kind(message, hint=hint, **facts)


class Temporary(OpsError):
    """{message}"""  # noqa: D415


class ControlPlaneUnavailable(Temporary):
    """The control plane's Postgres does not answer: {reason}."""

    code = "CONTROL_PLANE_UNAVAILABLE"
    default_hint = (
        "Check LAKEHOUSE_DATABASE_URL and that Postgres runs; the services go on by themselves when it is back."
    )


class SourceUnavailable(Temporary):
    """The source {source} cannot be reached: {reason}."""

    code = "SOURCE_UNAVAILABLE"
    default_hint = "Check ODOO_DATABASE_URL (host, port, database, user, password) and the server's own access rules."


class LakeUnavailable(Temporary):
    """The lake at {where} does not answer: {reason}."""

    code = "LAKE_UNAVAILABLE"
    default_hint = "Check LAKEHOUSE_WAREHOUSE and, for S3, the endpoint and keys."


class PublishConflict(Temporary):
    """Table {table} was published by another run meanwhile."""

    code = "PUBLISH_CONFLICT"
    default_hint = "Nothing was changed. The run starts over while attempts are left; then `run retry` starts it."


class CapExceeded(Temporary):
    """{cap} allows {limit} {unit}; {used} are in use. The run is held and starts by itself when room frees up."""

    code = "CAP_EXCEEDED"
    default_hint = "Wait, raise the cap, or cancel a run that holds it."


class DeliveryFailed(Temporary):
    """The notification could not be delivered to {target}: {reason}."""

    code = "DELIVERY_FAILED"
    default_hint = "It is tried again; check the receiver if it keeps failing."


class TimedOut(Temporary):
    """{what} did not end within {seconds} s."""

    code = "TIMED_OUT"
    default_hint = "Give it more time, or look at what it waits for."


class WorkerDied(Temporary):
    """The worker process doing {work} died ({reason})."""

    code = "WORKER_DIED"
    default_hint = "Usually memory: lower LAKEHOUSE_EXECUTOR_WORKERS or give the machine more of it."


class Permanent(OpsError):
    """{message}"""  # noqa: D415


class InvalidInput(Permanent):
    """{message}"""  # noqa: D415

    code = "INVALID_INPUT"
    default_hint = "Correct the input and try again."


class InvalidSetting(InvalidInput):
    """{name} is not usable: {fault}. Example: {example}."""

    code = "INVALID_SETTING"
    default_hint = "Correct the setting in the environment and start again."


class InvalidSpec(InvalidInput):
    """{file}:{line}: {fault}."""

    code = "INVALID_SPEC"
    default_hint = "Correct the pipeline spec; contracts/pipeline.schema.json lists what is allowed."


class InvalidParameter(InvalidInput):
    """Parameter {name} of pipeline {pipeline} is not usable: {fault}."""

    code = "INVALID_PARAMETER"
    default_hint = "`lakehouse pipeline show NAME` lists the parameters and their values."


class NotAllowed(Permanent):
    """{message}"""  # noqa: D415

    code = "NOT_ALLOWED"
    default_hint = "Ask an administrator of the project for the right that is named."


class NotFound(Permanent):
    """There is no {kind} {name}."""

    code = "NOT_FOUND"
    default_hint = "`lakehouse --help` names the lists that show what there is."


class Conflict(Permanent):
    """{message}"""  # noqa: D415

    code = "CONFLICT"
    default_hint = "Look at the object's present state and decide anew."


class IdempotencyConflict(Conflict):
    """Idempotency key {key} was used before with other content: {difference}."""

    code = "IDEMPOTENCY_CONFLICT"
    default_hint = "Use a new key for a new request."


class GateBlocked(Permanent):
    """Gate {check} blocked the publish of {dataset}: {finding}."""

    code = "GATE_BLOCKED"
    default_hint = (
        "Nothing readers see has changed. Open the failing rows, correct the source or the rule, and run again."
    )


class TimeLimit(Permanent):
    """Phase {phase} was stopped: one attempt may work for {seconds} s."""

    code = "TIME_LIMIT"
    default_hint = "Raise `time_limit_seconds` in the pipeline's spec, or find out what takes so long."


class SourceRefused(Permanent):
    """The source {source} refuses: {reason}."""

    code = "SOURCE_REFUSED"
    default_hint = "Correct the source's settings or the spec that names it."


class SourceNotOdoo(SourceRefused):
    """Database {database} is not an Odoo database: {missing} is not there."""

    code = "SOURCE_NOT_ODOO"
    default_hint = "Point ODOO_DATABASE_URL at Odoo's own database."


class SourceRightMissing(SourceRefused):
    """Role {role} lacks {right} on {object} in the source."""

    code = "SOURCE_RIGHT_MISSING"
    default_hint = "Grant the right that is named, or exclude the table in the spec."


class TableWithoutKey(SourceRefused):
    """Source table {table} has neither a primary key nor a unique index over columns that are never null."""

    code = "TABLE_WITHOUT_KEY"
    default_hint = "Give the table a primary key, or name it under `exclude` in the spec."


class UnsupportedType(SourceRefused):
    """Column {column} of source table {table} has type {type}, which has no place in the lake."""

    code = "UNSUPPORTED_TYPE"
    default_hint = "Name the column under `exclude_columns` in the spec, or change its type in the source."


class UnsupportedValue(SourceRefused):
    """Column {column} of source table {table} holds {value}, which type {type} cannot carry ({where})."""

    code = "UNSUPPORTED_VALUE"
    default_hint = "Correct the value in the source, or name the column under `exclude_columns` in the spec."


class SchemaDrift(SourceRefused):
    """Column {column} of source table {table} changed from {before} to {after}."""

    code = "SCHEMA_DRIFT"
    default_hint = "A type change needs a decision: rename the column, or rebuild the table from a full load."


class TransformFailed(Permanent):
    """{file}: {fault}."""

    code = "TRANSFORM_FAILED"
    default_hint = "Correct the SQL and apply the pipeline again."


class QueryFailed(Permanent):
    """{message}"""  # noqa: D415

    code = "QUERY_FAILED"
    default_hint = "Correct the statement; `lakehouse table list` shows what can be read."


class StorageFull(Permanent):
    """No space is left where {where} was to be written."""

    code = "STORAGE_FULL"
    default_hint = "Free space (or point LAKEHOUSE_WAREHOUSE elsewhere) and retry the run; nothing was published."


class WarehouseMissing(Permanent):
    """The warehouse {where} is not there."""

    code = "WAREHOUSE_MISSING"
    default_hint = "Mount or create it, or correct LAKEHOUSE_WAREHOUSE; then retry the run."


class DeliveryRefused(Permanent):
    """The notification will not be sent to {target}: {reason}."""

    code = "DELIVERY_REFUSED"
    default_hint = "Correct the route's target; private addresses must be named in LAKEHOUSE_WEBHOOK_ALLOW."


class Unexpected(Permanent):
    """{message}"""  # noqa: D415

    code = "UNEXPECTED"


class LeaseLost(OpsError):
    """The lease on run {run_id} is not current any more: {write} was refused."""

    code = "LEASE_LOST"
    default_hint = "Another attempt owns the run. Throw this attempt's work away."


class Canceled(OpsError):
    """Run {run_id} was canceled."""

    code = "CANCELED"
    default_hint = "Retry the run when you want it after all."
