"""Postgres' and asyncpg's failures, translated once, cause chained. Called by `pool.Database` around every call.

SQL functions refuse with SQLSTATE PTnnn and our code as detail (`ops.refuse`); everything else that means "not now"
becomes ControlPlaneUnavailable, so that every loop may simply wait and try again.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import asyncpg

from opscore.domain import errors as house

REFUSALS: dict[str, type[house.OpsError]] = {
    kind.code: kind
    for kind in (
        house.CapExceeded,
        house.Conflict,
        house.IdempotencyConflict,
        house.InvalidInput,
        house.NotAllowed,
        house.NotFound,
        house.PublishConflict,
    )
}

UNAVAILABLE = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,  # a connection that was closed under us
    asyncpg.InternalClientError,  # the same, noticed by the pool while it takes the connection back
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.QueryCanceledError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.LockNotAvailableError,
    asyncpg.ReadOnlySQLTransactionError,
)


@contextmanager
def translated() -> Generator[None]:
    """Turn what asyncpg raises into the house's errors."""
    try:
        yield
    except UNAVAILABLE as error:
        raise house.ControlPlaneUnavailable(reason=_first_line(error)) from error
    except asyncpg.InsufficientPrivilegeError as error:
        raise house.NotAllowed(f"The control plane refuses: {_first_line(error)}.") from error
    except asyncpg.DiskFullError as error:
        raise house.StorageFull(where="the control plane's Postgres") from error
    except asyncpg.PostgresError as error:
        raise _refusal(error) from error


def _refusal(error: asyncpg.PostgresError) -> house.OpsError:
    sqlstate = str(getattr(error, "sqlstate", "") or "")
    if sqlstate.startswith("PT"):
        kind = REFUSALS.get(str(getattr(error, "detail", "")), house.Unexpected)
        return kind(_sentence(str(error)), hint=getattr(error, "hint", None))
    if sqlstate.startswith(("22", "23")):
        return house.InvalidInput(f"The control plane refuses: {_first_line(error)}.")
    return house.Unexpected(f"The control plane failed: {_first_line(error)} (SQLSTATE {sqlstate}).")


def _sentence(message: str) -> str:
    text = message.splitlines()[0].strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def _first_line(error: BaseException) -> str:
    lines = str(error).splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
