"""Exit codes are what the interface says."""

from __future__ import annotations

from typing import Any

import pytest

from lakehouse.cli.exits import Exit, of_error, of_run, of_runs
from opscore.domain import errors


def run(state: str, code: str | None = None) -> dict[str, Any]:
    return {"state": state, "error": None if code is None else {"code": code}}


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.InvalidSpec(file="a.yaml", line=1, fault="is not"), 2),
        (errors.InvalidParameter(pipeline="p", name="n", fault="is not"), 2),
        (errors.NotAllowed("No."), 4),
        (errors.NotFound("No."), 5),
        (errors.GateBlocked("No."), 7),
        (errors.CapExceeded("No."), 8),
        (errors.TimedOut("No."), 9),
        (errors.ControlPlaneUnavailable("No."), 1),
        (errors.Conflict("No."), 1),
    ],
)
def test_errors_end_commands_with_their_code(error: errors.OpsError, code: int) -> None:
    assert of_error(error) == code


@pytest.mark.parametrize(
    ("ended", "code"),
    [
        (run("succeeded"), 0),
        (run("failed", "SOURCE_UNAVAILABLE"), 6),
        (run("canceled"), 6),
        (run("failed", "GATE_BLOCKED"), 7),
        (run("held"), 8),
        (run("queued"), 9),
        (run("claimed"), 9),
        (run("running"), 9),
    ],
)
def test_runs_end_commands_with_their_code(ended: dict[str, Any], code: int) -> None:
    assert of_run(ended) == code


def test_the_first_run_that_did_not_succeed_decides() -> None:
    runs = [run("succeeded"), run("failed", "GATE_BLOCKED"), run("failed", "UNEXPECTED")]

    assert of_runs(runs) is Exit.GATE_BLOCKED
    assert of_runs(runs[:1]) is Exit.OK
