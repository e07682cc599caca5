"""Who hears of what: routes in order, silences, and what a batch comes to."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

import pytest

from lakehouse_notifier.decisions import Decisions, Matrix, decided
from opscore.domain.event import Position, RunEvent
from opscore.ports.event_log import EventBatch, FollowedEvent

HERE, ELSEWHERE = uuid.UUID(int=3), uuid.UUID(int=4)
RUN = uuid.UUID(int=7)
RULE = {
    "environment_id": str(HERE),
    "name": "run_failed",
    "event_types": ["RUN_FAILED"],
    "condition": {},
    "severity": "error",
    "summary": "{pipeline} failed",
}


def route(name: str, position: int = 100, **rest: Any) -> dict[str, Any]:
    return {
        "id": f"id-{name}",
        "environment_id": str(HERE),
        "name": name,
        "position": position,
        "match": {},
        "channel": "webhook",
        "target": {"url": f"https://{name}"},
        "continue": True,
    } | rest


def silence(**rest: Any) -> dict[str, Any]:
    return {
        "id": "s1",
        "environment_id": str(HERE),
        "match": {},
        "reason": "migration",
        "created_by": "ann",
    } | rest


def decisions(*kinds: str, routes: Any = (), silences: Any = (), link: str | None = None) -> Decisions:
    at = datetime(2026, 3, 1, tzinfo=UTC)
    events = [
        FollowedEvent(RunEvent(n, RUN, n, kind, at, 1, {"code": "C"}), HERE, "odoo_ingest_bronze")
        for n, kind in enumerate(kinds)
    ]
    batch = EventBatch(Position(0, 0), Position(1, 1), tuple(events))
    matrix = Matrix.from_rows({"rules": [RULE], "routes": list(routes), "silences": list(silences)}, link)
    return decided(batch, matrix)


def taken(*routes: dict[str, Any], **rest: Any) -> list[str]:
    (alert,) = decisions("RUN_FAILED", routes=routes, **rest).alerts
    return [notification["route_id"] for notification in alert["notifications"]]


def test_routes_are_taken_by_position_then_name() -> None:
    assert taken(route("b"), route("c", 5), route("a")) == ["id-c", "id-a", "id-b"]


def test_a_route_that_does_not_continue_ends_the_list() -> None:
    assert taken(route("a", 1), route("b", 2, **{"continue": False}), route("c", 3)) == ["id-a", "id-b"]


def test_a_route_that_does_not_match_ends_nothing() -> None:
    quiet = route("a", 1, match={"severity": ["critical"]}, **{"continue": False})

    assert taken(quiet, route("b", 2)) == ["id-b"]


@pytest.mark.parametrize(
    ("match", "meant"),
    [
        ({}, True),
        ({"severity": ["error", "critical"]}, True),
        ({"severity": "error"}, True),
        ({"severity": []}, False),
        ({"severity": ["info"]}, False),
        ({"rule": "run_*"}, True),
        ({"rule": "score_*"}, False),
        ({"pipeline": "odoo_*", "rule": "*"}, True),
        ({"pipeline": "ODOO_*"}, False),
        ({"severity": None}, False),
        ({"severity": 3}, False),
        ({"rule": 3}, False),
        ({"team": "x"}, False),
        ([], False),
    ],
)
def test_a_match_means_what_it_says_and_nothing_when_it_cannot_be_read(match: Any, *, meant: bool) -> None:
    assert bool(taken(route("a", match=match))) is meant
    assert bool(taken(route("a"), silences=[silence(match=match)])) is not meant


def test_a_route_of_another_environment_is_not_taken() -> None:
    assert taken(route("a", environment_id=str(ELSEWHERE))) == []


def test_a_silence_of_another_environment_silences_nothing() -> None:
    assert taken(route("a"), silences=[silence(environment_id=str(ELSEWHERE))]) == ["id-a"]


def test_a_silenced_alert_stays_and_says_who_silenced_it_and_why() -> None:
    (alert,) = decisions("RUN_FAILED", routes=[route("a")], silences=[silence()]).alerts

    assert alert["notifications"] == []
    assert alert["details"]["silenced"] == {"id": "s1", "reason": "migration", "by": "ann"}
    assert alert["details"]["routes"] == ["a"]


def test_events_keep_their_order_when_a_success_lies_between_two_failures() -> None:
    found = decisions("RUN_FAILED", "PHASE_STARTED", "RUN_SUCCEEDED", "RUN_FAILED")

    assert [alert["ordinal"] for alert in found.alerts] == [0, 3]
    assert found.resolved == [
        {
            "ordinal": 2,
            "resolve": True,
            "environment_id": str(HERE),
            "rule": "run_failed",
            "dedup_key": "run_failed:odoo_ingest_bronze",
        }
    ]


def test_a_notification_links_to_the_run_when_the_control_room_has_an_address() -> None:
    (alert,) = decisions("RUN_FAILED", routes=[route("a")], link="https://room").alerts

    assert alert["notifications"][0]["body"]["url"] == f"https://room/runs/{RUN}"
