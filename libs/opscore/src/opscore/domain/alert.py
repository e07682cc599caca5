"""Which events a person should know of: alert rules as pure rules. Called by the notifier for every event.

Rules are rows written by people, so reading one never fails: what its condition says wrongly makes it match nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from fnmatch import fnmatchcase
from typing import Any
from uuid import UUID

from opscore.domain.event import EventType, RunEvent
from opscore.domain.notification import ALERT_OPENED, filled, shortened

CONDITIONS = frozenset({"pipeline", "except", "code", "min_score"})
ONLY_SCORES: frozenset[str] = frozenset({EventType.RUN_SCORED})
ENDED_BY_SUCCESS: frozenset[str] = frozenset({EventType.RUN_FAILED, EventType.DEADLINE_MISSED})


@dataclass(frozen=True, slots=True)
class Occasion:
    """An event with the scope and the pipeline of its run: what rules look at."""

    event: RunEvent
    environment_id: UUID
    pipeline: str

    def fact(self, name: str) -> str:
        """A value of the event's data as text, empty when it is not there."""
        value = self.event.data.get(name)
        return "" if value is None else str(value)

    @property
    def score(self) -> Decimal | None:
        """The score of RUN_SCORED, None for every other event."""
        return _decimal(self.event.data.get("score")) if self.event.type == EventType.RUN_SCORED else None


@dataclass(frozen=True, slots=True)
class Alert:
    """Something a person should know. One stays open per key; further occurrences are counted on it."""

    rule: str
    environment_id: UUID
    run_id: UUID
    pipeline: str
    severity: str
    summary: str
    event: str
    at: datetime
    code: str
    message: str

    @property
    def dedup_key(self) -> str:
        """What the open alert is found by."""
        return dedup_key(self.rule, self.pipeline)

    def told(self, url: str | None) -> dict[str, Any]:
        """What a notification is stored with; the alert's id joins it there. url: where a person can look."""
        body = {
            "type": ALERT_OPENED,
            "timestamp": self.at.isoformat(),
            "rule": self.rule,
            "severity": self.severity,
            "summary": self.summary,
            "pipeline": self.pipeline,
            "run_id": str(self.run_id),
            "event": self.event,
            "code": self.code or None,
            "message": shortened(self.message) or None,
        }
        return body if url is None else {**body, "url": url}


@dataclass(frozen=True, slots=True)
class AlertRule:
    """Events that become alerts. codes None: any. min_score: RUN_SCORED only when below it, None: whatever the score.

    pipeline, excepted: globs that the pipeline's name must match and must not match.

    readable False: its condition says something unknown, so it matches nothing.
    """

    environment_id: UUID
    name: str
    event_types: frozenset[str]
    severity: str
    summary: str
    pipeline: str = "*"
    excepted: frozenset[str] = frozenset()
    codes: frozenset[str] | None = None
    min_score: Decimal | None = None
    readable: bool = True

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> AlertRule:
        """Read a row of `ops.alert_rules`."""
        return cls(
            environment_id=UUID(str(row["environment_id"])),
            name=row["name"],
            event_types=frozenset(row["event_types"]),
            severity=row["severity"],
            summary=row["summary"],
            **_condition(row["condition"]),
        )

    def raised(self, occasion: Occasion) -> Alert | None:
        """The alert this occasion calls for, None when it calls for none."""
        if not self._watches(occasion) or not self._is_bad(occasion):
            return None
        facts = {
            "pipeline": occasion.pipeline,
            "run_id": str(occasion.event.run_id),
            "code": occasion.fact("code"),
            "message": occasion.fact("message"),
            "score": occasion.fact("score"),
            "rule": self.name,
            "severity": self.severity,
        }
        return Alert(
            rule=self.name,
            environment_id=occasion.environment_id,
            run_id=occasion.event.run_id,
            pipeline=occasion.pipeline,
            severity=self.severity,
            summary=filled(self.summary, facts),
            event=occasion.event.type,
            at=occasion.event.at,
            code=facts["code"],
            message=facts["message"],
        )

    def recovers(self, occasion: Occasion) -> bool:
        """Whether this occasion ends the rule's open alert: success after what was bad, a good score after bad ones."""
        match occasion.event.type:
            case EventType.RUN_SUCCEEDED:
                good = bool(self.event_types & ENDED_BY_SUCCESS) and EventType.RUN_SUCCEEDED not in self.event_types
            case EventType.RUN_SCORED:
                good = self.event_types == ONLY_SCORES and self._is_good_score(occasion.score)
            case _:
                good = False
        return good and self._covers(occasion)

    def _is_good_score(self, score: Decimal | None) -> bool:
        return self.min_score is not None and score is not None and score >= self.min_score

    def _watches(self, occasion: Occasion) -> bool:
        return occasion.event.type in self.event_types and self._covers(occasion)

    def covers(self, environment: UUID, pipeline: str) -> bool:
        """Whether the rule watches this pipeline at all."""
        meant = fnmatchcase(pipeline, self.pipeline)
        excepted = any(fnmatchcase(pipeline, glob) for glob in self.excepted)
        return self.readable and self.environment_id == environment and meant and not excepted

    def _covers(self, occasion: Occasion) -> bool:
        return self.covers(occasion.environment_id, occasion.pipeline)

    def _is_bad(self, occasion: Occasion) -> bool:
        if self.codes is not None and occasion.fact("code") not in self.codes:
            return False
        score = occasion.score
        return self.min_score is None or score is None or score < self.min_score


def dedup_key(rule: str, pipeline: str) -> str:
    """One open alert per rule and pipeline of an environment."""
    return f"{rule}:{pipeline}"


def words(value: Any) -> frozenset[str] | None:
    """A word or a list of words as a set, None when it is neither."""
    if isinstance(value, str):
        return frozenset({value})
    if isinstance(value, list | tuple) and all(isinstance(word, str) for word in value):
        return frozenset(value)
    return None


def _condition(condition: Any) -> dict[str, Any]:
    if not isinstance(condition, Mapping) or not set(condition) <= CONDITIONS:
        return {"readable": False}
    pipeline, codes = condition.get("pipeline", "*"), words(condition.get("code"))
    min_score, excepted = _decimal(condition.get("min_score")), words(condition.get("except", []))
    understood = (
        isinstance(pipeline, str)
        and excepted is not None
        and (codes is not None) == ("code" in condition)
        and (min_score is not None) == ("min_score" in condition)
    )
    if not understood:
        return {"readable": False}
    return {"pipeline": pipeline, "excepted": excepted, "codes": codes, "min_score": min_score}


def _decimal(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None
