"""Specs judged before they are applied, as far as that can be known from here. Used by `pipeline validate`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from lakehouse.client.lakehouse import connect
from opscore.domain.errors import OpsError
from opscore.specs import SpecFault, validate_files

UNKNOWN = "there is no pipeline "  # how the validator speaks of a name under `after`


async def judge(files: Sequence[Path]) -> list[SpecFault]:
    """Every fault of the specs; `after` may name what lies beside them or what the control plane knows.

    Without a control plane the faults that it might have lifted say that nobody could look.
    """
    faults = validate_files(files)
    if not any(UNKNOWN in fault.message for fault in faults):
        return faults
    try:
        async with connect() as lakehouse:
            known = [one["name"] for one in await lakehouse.people.pipelines(lakehouse.environment)]
    except OpsError as error:
        return [_unlooked(fault, error) if UNKNOWN in fault.message else fault for fault in faults]
    return validate_files(files, known=known)


def _unlooked(fault: SpecFault, error: OpsError) -> SpecFault:
    hint = f"{fault.hint} Only these folders were searched, not the control plane: {error.message}"
    return replace(fault, message=f"{fault.message} in these folders", hint=hint)
