"""A run's parameters as SQL sees them. Used by the transform and validate phases."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date
from typing import Any

from lakehouse_executor.context import PhaseContext
from opscore.domain.param import DateParam
from opscore.domain.pipeline import PipelineSpec


def run_parameters(spec: PipelineSpec, params: Mapping[str, Any], today: date) -> dict[str, Any]:
    """Values by name, dates as dates. A date that was not given is today's (UTC)."""
    values = dict(params)
    for name, param in spec.params.items():
        if isinstance(param, DateParam):
            values[name] = date.fromisoformat(values[name]) if values.get(name) else today
    return values


def run_day(context: PhaseContext) -> date:
    """The day the run was asked for (UTC): a retry after midnight still means the same day."""
    return (context.order.created_at or context.clock.now()).astimezone(UTC).date()
