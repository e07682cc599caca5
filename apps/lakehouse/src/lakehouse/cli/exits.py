"""Exit codes, and which error or end of a run means which. Used by `main` and by the commands that wait for runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import Any

from opscore.domain import errors


class Exit(IntEnum):
    """What a script learns from a command's end."""

    OK = 0
    ERROR = 1
    USAGE = 2
    NOT_ALLOWED = 4
    NOT_FOUND = 5
    RUN_FAILED = 6
    GATE_BLOCKED = 7
    HELD = 8
    TIMEOUT = 9
    INTERRUPTED = 130


OF_ERRORS: tuple[tuple[type[errors.OpsError], Exit], ...] = (
    (errors.InvalidInput, Exit.USAGE),
    (errors.NotAllowed, Exit.NOT_ALLOWED),
    (errors.NotFound, Exit.NOT_FOUND),
    (errors.GateBlocked, Exit.GATE_BLOCKED),
    (errors.CapExceeded, Exit.HELD),
    (errors.TimedOut, Exit.TIMEOUT),
)


def of_error(error: errors.OpsError) -> Exit:
    """The code for an error that ended a command."""
    return next((code for kind, code in OF_ERRORS if isinstance(error, kind)), Exit.ERROR)


def of_run(run: Mapping[str, Any]) -> Exit:
    """The code for a run that was waited for, ended or not."""
    match run["state"]:
        case "succeeded":
            return Exit.OK
        case "failed":
            blocked = (run["error"] or {}).get("code") == errors.GateBlocked.code
            return Exit.GATE_BLOCKED if blocked else Exit.RUN_FAILED
        case "canceled":
            return Exit.RUN_FAILED
        case "held":
            return Exit.HELD
        case _:
            return Exit.TIMEOUT


def of_runs(runs: Iterable[Mapping[str, Any]]) -> Exit:
    """The code for several: the first that did not succeed decides."""
    return next((code for run in runs if (code := of_run(run)) is not Exit.OK), Exit.OK)
