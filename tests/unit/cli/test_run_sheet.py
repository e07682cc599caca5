"""A run as a person sees it: its phases with times, its faults, and whether it still stands."""

from __future__ import annotations

from typing import Any

import pytest

from lakehouse.client.phases import phases_of
from lakehouse.output.run_sheet import print_run, spoken_state

Json = dict[str, Any]

RUN: Json = {
    "id": "0a1b2c3d-0000-4000-8000-000000000001",
    "pipeline": "silver_to_gold",
    "state": "failed",
    "phase": "validate",
    "attempt": 2,
    "failures": 1,
    "losses": 0,
    "interruptions": 1,
    "params": {"as_of": "2026-06-30"},
    "created_at": "2026-06-30T10:00:00+00:00",
    "started_at": "2026-06-30T10:00:01+00:00",
    "finished_at": "2026-06-30T10:00:09+00:00",
    "rolled_back_at": None,
    "wait_reason": None,
    "cancel": None,
    "cancel_request": None,
    "quarantined": False,
    "score": 41.5,
    "error": {"code": "GATE_BLOCKED", "message": "Gate unique blocked gold.a.", "hint": "Open the failing rows."},
    "checks": [
        {
            "name": "nulls",
            "dataset": "gold.a",
            "column": "b",
            "result": "pass",
            "value": "0",
            "threshold": "0",
            "sample_keys": [],
        },
        {
            "name": "unique",
            "dataset": "gold.a",
            "column": "id",
            "result": "fail",
            "value": "2",
            "threshold": "0",
            "sample_keys": ["7"],
        },
    ],
    "tables": [{"name": "gold.a", "snapshot_id": "42", "rows_added": 1234}],
}


def event(kind: str, second: int, attempt: int = 1, **data: Any) -> Json:
    return {"type": kind, "at": f"2026-06-30T10:00:{second:02}+00:00", "attempt": attempt, "data": data}


def sheet(capsys: pytest.CaptureFixture[str], phases: list[Json] | None = None, **changes: Any) -> str:
    print_run({**RUN, **changes}, phases or [])
    return capsys.readouterr().out


def test_phases_have_their_result_and_how_long_they_took() -> None:
    phases = phases_of(
        [
            event("PHASE_STARTED", 1, phase="transform"),
            event("PHASE_PROGRESS", 2, phase="transform"),
            event("PHASE_SUCCEEDED", 4, phase="transform"),
            event("PHASE_STARTED", 4, phase="validate"),
            event("PHASE_FAILED", 5, phase="validate"),
            event("RUN_FAILED", 5),
        ]
    )

    assert [(one["phase"], one["result"], one["seconds"]) for one in phases] == [
        ("transform", "succeeded", 3.0),
        ("validate", "failed", 1.0),
    ]


@pytest.mark.parametrize("end", ["RUN_REQUEUED", "RUN_CANCELED"])
def test_a_phase_that_nobody_ended_was_interrupted(end: str) -> None:
    phases = phases_of(
        [event("PHASE_STARTED", 1, phase="ingest"), event(end, 3), event("PHASE_STARTED", 5, 2, phase="ingest")]
    )

    assert [(one["attempt"], one["result"], one["seconds"]) for one in phases][:1] == [(1, "interrupted", 2.0)]


def test_a_phase_under_way_has_no_result() -> None:
    [phase] = phases_of([event("PHASE_STARTED", 1, phase="ingest")])

    assert (phase["result"], phase["seconds"], phase["started_at"]) == (None, None, "2026-06-30T10:00:01+00:00")


def test_a_run_shows_state_attempts_score_error_and_hint(capsys: pytest.CaptureFixture[str]) -> None:
    text = sheet(capsys)

    for part in ("silver_to_gold", "failed", "41.5", "2 (1 failed, 1 interrupted)", '"as_of": "2026-06-30"'):
        assert part in text
    assert "GATE_BLOCKED: Gate unique blocked gold.a.\n            Open the failing rows." in text


def test_a_run_shows_phases_checks_worst_first_and_tables(capsys: pytest.CaptureFixture[str]) -> None:
    text = sheet(
        capsys,
        phases_of([event("PHASE_STARTED", 1, phase="transform"), event("PHASE_SUCCEEDED", 4, phase="transform")]),
    )

    phases, checks, tables = (text.index(title) for title in ("\nPhases\n", "\nChecks\n", "\nTables\n"))
    assert phases < checks < tables
    assert "3.0" in text[phases:checks]
    assert text.index("unique", checks) < text.index("nulls", checks)
    assert "1,234" in text[tables:]


def test_a_section_that_is_long_says_how_much_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    tables = [{"name": f"gold.t{number}", "snapshot_id": "1", "rows_added": 1} for number in range(50)]

    text = sheet(capsys, tables=tables)

    assert "gold.t39" in text
    assert "gold.t40" not in text
    assert "… and 10 more" in text


def test_a_run_that_was_rolled_back_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    back = {"state": "succeeded", "rolled_back_at": "2026-06-30T11:00:00+00:00"}

    assert "succeeded, rolled back at 2026-06-30 11:00:00" in sheet(capsys, **back)
    assert spoken_state({**RUN, **back}) == "succeeded, rolled back"
    assert spoken_state(RUN) == "failed"


def test_a_held_run_says_what_holds_it(capsys: pytest.CaptureFixture[str]) -> None:
    reason = {"cap": "erp", "used": 2, "limit": 2, "unit": "runs"}

    assert "held by cap erp (2 of 2 in use)" in sheet(
        capsys, state="held", phase=None, finished_at=None, wait_reason=reason
    )


def test_who_asked_for_a_cancel_why_and_how_it_ended_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    request = {"by": "ada", "reason": "wrong month", "at": "2026-06-30T10:00:05+00:00"}

    shown = sheet(capsys, state="canceled", cancel="presumed", cancel_request=request)

    assert "asked for by ada" in shown
    assert "wrong month; its executor was lost, so its work is presumed to have stopped" in shown


def test_the_score_of_an_attempt_before_is_not_shown_while_a_run_waits_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert "41.5" in sheet(capsys)
    assert "41.5" not in sheet(capsys, state="queued", finished_at=None)


@pytest.mark.parametrize(("started", "said"), [(None, "it had not begun"), (RUN["started_at"], "its work has stopped")])
def test_a_canceled_run_says_what_became_of_its_work(
    capsys: pytest.CaptureFixture[str], started: str | None, said: str
) -> None:
    request = {"by": "ada", "at": "2026-06-30T10:00:05+00:00", "reason": None}

    assert said in sheet(capsys, started_at=started, cancel="confirmed", cancel_request=request)
