"""What a batch of events means: which alerts open or are counted, who hears of them, which are over. Pure.

Called by `follow.py`; the result is what `Alerting.record_alerts` takes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from opscore.domain.alert import Alert, AlertRule, Occasion, dedup_key
from opscore.domain.route import Route, Silence, routed, silenced_by
from opscore.ports.event_log import EventBatch


@dataclass(frozen=True, slots=True)
class Matrix:
    """Rules, routes and silences in force. link: the control room's address, None when there is none to show."""

    rules: tuple[AlertRule, ...]
    routes: tuple[Route, ...]
    silences: tuple[Silence, ...]
    link: str | None = None

    @classmethod
    def from_rows(cls, rows: Mapping[str, Any], link: str | None = None) -> Matrix:
        """Read what `Alerting.alerting` answers."""
        return cls(
            rules=tuple(AlertRule.from_row(row) for row in rows["rules"]),
            routes=tuple(Route.from_row(row) for row in rows["routes"]),
            silences=tuple(Silence.from_row(row) for row in rows["silences"]),
            link=link,
        )


@dataclass(slots=True)
class Decisions:
    """alerts and resolved as `Alerting.record_alerts` takes them; ordinals keep the order of the events."""

    alerts: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    resolved: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])


def decided(batch: EventBatch, matrix: Matrix) -> Decisions:
    """What a person must know of these events, and what they need not worry about any more."""
    decisions = Decisions()
    for ordinal, followed in enumerate(batch.events):
        occasion = Occasion(followed.event, followed.environment_id, followed.pipeline)
        decisions.resolved.extend(_resolutions(ordinal, occasion, matrix))
        decisions.alerts.extend(_openings(ordinal, occasion, matrix))
    return decisions


def _openings(ordinal: int, occasion: Occasion, matrix: Matrix) -> Iterator[dict[str, Any]]:
    for rule in matrix.rules:
        alert = rule.raised(occasion)
        if alert is not None:
            yield {"ordinal": ordinal, **_opened(alert, matrix)}


def _resolutions(ordinal: int, occasion: Occasion, matrix: Matrix) -> Iterator[dict[str, Any]]:
    for rule in matrix.rules:
        if rule.recovers(occasion):
            yield {
                "ordinal": ordinal,
                "resolve": True,
                "environment_id": str(occasion.environment_id),
                "rule": rule.name,
                "dedup_key": dedup_key(rule.name, occasion.pipeline),
            }


def _opened(alert: Alert, matrix: Matrix) -> dict[str, Any]:
    routes = routed(alert, matrix.routes)
    silence = silenced_by(alert, matrix.silences)
    body = alert.told(f"{matrix.link}/runs/{alert.run_id}" if matrix.link else None)
    return {
        "environment_id": str(alert.environment_id),
        "rule": alert.rule,
        "dedup_key": alert.dedup_key,
        "run_id": str(alert.run_id),
        "pipeline": alert.pipeline,
        "severity": alert.severity,
        "summary": alert.summary,
        "details": {
            "event": alert.event,
            "at": alert.at.isoformat(),
            "code": alert.code or None,
            "message": body["message"],
            "routes": [route.name for route in routes],
            "silenced": _silenced(silence),
        },
        "notifications": [_notification(route, body) for route in routes] if silence is None else [],
    }


def _notification(route: Route, body: dict[str, Any]) -> dict[str, Any]:
    return {"route_id": route.id, "channel": route.channel, "target": route.target, "body": body}


def _silenced(silence: Silence | None) -> dict[str, str] | None:
    return None if silence is None else {"id": silence.id, "reason": silence.reason, "by": silence.created_by}
