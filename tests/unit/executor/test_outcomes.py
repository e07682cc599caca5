"""Errors become outcomes: retried, failed, canceled, given back."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from lakehouse_executor.outcomes import cleaned, end_of, success
from opscore.domain.errors import Canceled, GateBlocked, PublishConflict, SourceUnavailable, WorkerDied
from opscore.domain.lease import Lease
from opscore.domain.phase import Phase
from opscore.domain.run import Outcome, OutcomeKind, WorkOrder
from opscore.runtime.held import Interrupted

LEASE = Lease(UUID(int=1), 1, UUID(int=2), 30_000)


def order(failures: int = 0) -> WorkOrder:
    return WorkOrder(LEASE, UUID(int=3), "sample", "digest", {}, (Phase.INGEST,), failures=failures)


def ended(error: Exception, *, failures: int = 0, spec: dict[str, Any] | None = None) -> Outcome:
    return end_of(order(failures), Phase.INGEST, error, spec, 0.0)


def test_a_temporary_error_is_retried_after_the_specs_wait() -> None:
    spec = {"retries": {"first_seconds": 10, "factor": "3", "max_attempts": 5}}

    waits = [ended(WorkerDied(work="w", reason="r"), failures=n, spec=spec).retry_in_ms for n in range(5)]

    assert waits == [5000, 15_000, 45_000, 135_000, None]


def test_a_phase_is_tried_again_by_its_own_rule() -> None:
    retries = {"first_seconds": 10, "max_attempts": 5, "phases": {"ingest": {"first_seconds": 1, "max_attempts": 3}}}
    error = WorkerDied(work="w", reason="r")

    own = [ended(error, failures=n, spec={"retries": retries}).retry_in_ms for n in range(3)]
    others = end_of(order(2), Phase.PUBLISH, error, {"retries": retries}, 0.0).retry_in_ms

    assert own == [500, 1000, None]
    assert others == 20_000


def test_a_permanent_error_is_not_retried() -> None:
    outcome = ended(GateBlocked(check="c", dataset="d", finding="f"))

    assert (outcome.kind, outcome.retry_in_ms) == (OutcomeKind.FAILED, None)
    assert outcome.error is not None
    assert outcome.error["code"] == "GATE_BLOCKED"
    assert outcome.events[0][0] == "PHASE_FAILED"
    assert outcome.events[0][1]["phase"] == "ingest"


def test_a_publish_conflict_starts_over_from_the_first_phase() -> None:
    outcome = ended(PublishConflict(table="gold.x"))

    assert outcome.clear_checkpoint
    assert outcome.retry_in_ms is not None


@pytest.mark.parametrize(
    ("error", "kind"), [(Canceled(run_id=1), OutcomeKind.CANCELED), (Interrupted(), OutcomeKind.INTERRUPTED)]
)
def test_a_stop_is_neither_failure_nor_retry(error: Exception, kind: OutcomeKind) -> None:
    outcome = ended(error)

    assert (outcome.kind, outcome.error, outcome.retry_in_ms) == (kind, None, None)


def test_an_unforeseen_error_fails_the_run_with_its_phase_and_kind() -> None:
    outcome = ended(KeyError("x"))

    assert outcome.error is not None
    assert outcome.error["code"] == "UNEXPECTED"
    assert "Phase ingest ended by an unforeseen KeyError" in outcome.error["message"]


def test_no_password_and_no_nul_leaves_with_an_error() -> None:
    error = SourceUnavailable(source="odoo", reason="postgresql://odoo:hunter2@db/x said \x00")

    outcome = ended(error)

    assert outcome.error is not None
    assert "hunter2" not in str(outcome)
    assert "\x00" not in outcome.error["message"]
    assert "postgresql://odoo:***@db/x" in outcome.error["message"]


def test_an_endless_message_is_cut() -> None:
    assert len(cleaned("x" * 10**6)) == 4000


def test_success_carries_the_manifests_digest() -> None:
    outcome = success(order(), {"publish": {"manifest_sha256": "ab"}}, ())

    assert (outcome.kind, outcome.manifest_sha256) == (OutcomeKind.SUCCEEDED, "ab")
