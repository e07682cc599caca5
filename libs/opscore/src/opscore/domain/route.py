"""Who hears of an alert: the routing matrix and silences as pure rules. Called by the notifier for every new alert.

Rows are written by people, so reading them never fails: what a row says wrongly narrows it. A route whose match is
wrong reaches nobody, a silence whose match is wrong silences nothing, and the other rows work on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any
from uuid import UUID

from opscore.domain.alert import Alert, words

KEYS = frozenset({"severity", "rule", "pipeline"})


@dataclass(frozen=True, slots=True)
class Match:
    """Which alerts are meant. severities None: all. readable False: the row says something unknown, so none."""

    severities: frozenset[str] | None = None
    rule: str = "*"
    pipeline: str = "*"
    readable: bool = True

    @classmethod
    def from_json(cls, match: Any) -> Match:
        """Read {"severity": [..], "rule": glob, "pipeline": glob}; every key may be left out."""
        if not isinstance(match, Mapping) or not set(match) <= KEYS:
            return cls(readable=False)
        severities = words(match.get("severity"))
        globs = [match.get(key, "*") for key in ("rule", "pipeline")]
        if not all(isinstance(glob, str) for glob in globs) or ("severity" in match and severities is None):
            return cls(readable=False)
        return cls(severities, *globs)

    def means(self, alert: Alert) -> bool:
        """Whether the alert is one of those meant."""
        return (
            self.readable
            and (self.severities is None or alert.severity in self.severities)
            and fnmatchcase(alert.rule, self.rule)
            and fnmatchcase(alert.pipeline, self.pipeline)
        )


@dataclass(frozen=True, slots=True)
class Route:
    """One line of the routing matrix. goes_on False: lines behind it are not looked at once it matched."""

    id: str
    environment_id: UUID
    name: str
    position: int
    match: Match
    channel: str
    target: dict[str, Any] = field(repr=False)
    goes_on: bool = True

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Route:
        """Read a row of `ops.routing_matrix`."""
        return cls(
            id=str(row["id"]),
            environment_id=UUID(str(row["environment_id"])),
            name=row["name"],
            position=row["position"],
            match=Match.from_json(row["match"]),
            channel=row["channel"],
            target=row["target"],
            goes_on=row["continue"],
        )


@dataclass(frozen=True, slots=True)
class Silence:
    """Keeps alerts from notifying; the alerts themselves stay and say who silenced them and why."""

    id: str
    environment_id: UUID
    match: Match
    reason: str
    created_by: str

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Silence:
        """Read a row of `ops.silences`."""
        return cls(
            id=str(row["id"]),
            environment_id=UUID(str(row["environment_id"])),
            match=Match.from_json(row["match"]),
            reason=row["reason"],
            created_by=row["created_by"],
        )


def routed(alert: Alert, routes: Iterable[Route]) -> list[Route]:
    """The routes an alert takes, by position and name, up to the first that does not go on."""
    taken: list[Route] = []
    for route in sorted(routes, key=lambda route: (route.position, route.name)):
        if route.environment_id != alert.environment_id or not route.match.means(alert):
            continue
        taken.append(route)
        if not route.goes_on:
            break
    return taken


def silenced_by(alert: Alert, silences: Iterable[Silence]) -> Silence | None:
    """The first silence that means the alert, None when it may be heard."""
    return next(
        (each for each in silences if each.environment_id == alert.environment_id and each.match.means(alert)), None
    )
