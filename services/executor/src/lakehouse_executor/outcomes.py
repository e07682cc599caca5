"""How an attempt's end is told to the control plane: errors to outcomes. Called by `run.py`; pure."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

from opscore.domain.errors import Canceled, OpsError, PublishConflict, Temporary, Unexpected
from opscore.domain.event import EventType
from opscore.domain.phase import Phase
from opscore.domain.pipeline import Retries
from opscore.domain.retry import retry_delay
from opscore.domain.run import Outcome, OutcomeKind, WorkOrder
from opscore.runtime.held import Interrupted

PASSWORD_IN_URL = re.compile(r"(://[^:/@\s]*:)[^@/\s]+@")
SHOWN = (str, int, float, bool)


def success(order: WorkOrder, results: dict[str, Any], events: tuple[tuple[str, dict[str, Any]], ...]) -> Outcome:
    """All phases are done. results: phase -> result."""
    manifest = results.get(Phase.PUBLISH, {}).get("manifest_sha256")
    return Outcome(order.lease, OutcomeKind.SUCCEEDED, events=events, manifest_sha256=manifest)


def phase_success(phase: Phase, result: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The event of a finished phase: its plain numbers and texts, not its tables."""
    return EventType.PHASE_SUCCEEDED, {"phase": phase.value, **plain(result)}


def plain(result: dict[str, Any]) -> dict[str, Any]:
    """The result's scalars."""
    return {key: value for key, value in result.items() if isinstance(value, SHOWN)}


def end_of(
    order: WorkOrder, phase: Phase | None, error: Exception, spec: dict[str, Any] | None, jitter: float
) -> Outcome:
    """The outcome that an error means. spec: None while the bundle was not there yet. jitter: in [0, 1)."""
    if isinstance(error, Canceled):
        return Outcome(order.lease, OutcomeKind.CANCELED)
    if isinstance(error, Interrupted):
        return Outcome(order.lease, OutcomeKind.INTERRUPTED)
    fault = error if isinstance(error, OpsError) else unforeseen(phase, error)
    return Outcome(
        order.lease,
        OutcomeKind.FAILED,
        error=_readable(fault),
        retry_in_ms=_retry_in_ms(order, phase, fault, spec, jitter),
        clear_checkpoint=isinstance(fault, PublishConflict),
        events=() if phase is None else (_phase_failure(phase, fault),),
    )


def unforeseen(phase: Phase | None, error: Exception) -> Unexpected:
    """A fault of ours, told without what a connection string may hold."""
    where = "Before its first phase the run" if phase is None else f"Phase {phase}"
    return Unexpected(f"{where} ended by an unforeseen {type(error).__name__}: {error}")


def _readable(fault: OpsError) -> dict[str, Any]:
    """Postgres' jsonb takes no NUL, and no password belongs into a run's error."""
    return {name: cleaned(str(text)) for name, text in fault.as_json().items()}


def cleaned(text: str) -> str:
    """Without NUL characters, passwords in URLs masked, at most 4,000 characters."""
    return PASSWORD_IN_URL.sub(r"\1***@", text.replace("\x00", "\N{SYMBOL FOR NULL}"))[:4000]


def _phase_failure(phase: Phase, fault: OpsError) -> tuple[str, dict[str, Any]]:
    return EventType.PHASE_FAILED, {"phase": phase.value, "code": fault.code, "message": cleaned(fault.message)}


def _retry_in_ms(
    order: WorkOrder, phase: Phase | None, fault: OpsError, spec: dict[str, Any] | None, jitter: float
) -> int | None:
    if not isinstance(fault, Temporary):
        return None
    policy = Retries.model_validate((spec or {}).get("retries") or {}).policy(phase)
    wait = retry_delay(policy, order.failures + 1, jitter)
    return None if wait is None else int(wait / timedelta(milliseconds=1))
