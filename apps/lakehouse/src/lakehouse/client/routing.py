"""Which routes an alert would take, by the very rules the notifier follows. Used by `route test`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from opscore.domain.alert import Alert
from opscore.domain.route import Route, routed
from opscore.ports.people import DEFAULT_ENVIRONMENT

NOBODY = UUID(int=0)


def dry_run(rows: Sequence[Mapping[str, Any]], *, severity: str, rule: str, pipeline: str) -> list[str]:
    """Names of the routes that a sample alert takes, in order. rows: as `People.routes` answers; disabled ones rest."""
    alert = Alert(
        rule=rule,
        environment_id=DEFAULT_ENVIRONMENT,
        run_id=NOBODY,
        pipeline=pipeline,
        severity=severity,
        summary="A sample",
        event="RUN_FAILED",
        at=datetime.now(UTC),
        code="UNEXPECTED",
        message="A sample",
    )
    routes = [Route.from_row({**row, "environment_id": DEFAULT_ENVIRONMENT}) for row in rows if row["enabled"]]
    return [route.name for route in routed(alert, routes)]
