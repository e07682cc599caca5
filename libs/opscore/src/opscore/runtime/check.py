"""`--check`: tries what a service needs, says what failed, and ends.

Called by `supervise.start`; each service lists its probes in `app.py`.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import anyio

from opscore.domain.errors import InvalidSetting, OpsError, TimedOut

PROBE_TIMEOUT = 15.0


@dataclass(frozen=True, slots=True)
class Probe:
    """One thing a service needs. attempt: returns when it is there, raises OpsError when not."""

    what: str
    attempt: Callable[[], Awaitable[object]]


async def run_probes(probes: Sequence[Probe]) -> int:
    """Try all, print one line each on stderr. Returns 0 when all passed, 2 for a bad setting, else 1."""
    faults = [fault for probe in probes if (fault := await _run(probe)) is not None]
    if any(isinstance(fault, InvalidSetting) for fault in faults):
        return 2
    return 1 if faults else 0


async def _run(probe: Probe) -> OpsError | None:
    try:
        with anyio.fail_after(PROBE_TIMEOUT):
            await probe.attempt()
    except TimeoutError:
        return _say(probe, TimedOut(what=f"The check of {probe.what}", seconds=PROBE_TIMEOUT))
    except OpsError as error:
        return _say(probe, error)
    except BaseExceptionGroup as group:
        found, rest = group.split(OpsError)
        if rest is not None or found is None:
            raise
        return _say(probe, _first(found))
    return _say(probe, None)


def _first(group: BaseExceptionGroup[OpsError]) -> OpsError:
    inner = group.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner


def _say(probe: Probe, fault: OpsError | None) -> OpsError | None:
    line = f"ok      {probe.what}" if fault is None else f"failed  {probe.what}: {fault.message} {fault.hint}"
    print(line, file=sys.stderr)  # noqa: T201 - the command's answer
    return fault
