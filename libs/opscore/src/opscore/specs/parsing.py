"""Text to `PipelineSpec`. Called by everything that takes a spec: CLI, API, bundles, checks of the repository."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from opscore.domain.pipeline import PipelineSpec
from opscore.domain.pipeline_rules import Breach, breaches, clocks
from opscore.domain.validation import BalancedEntries, CustomSql
from opscore.specs.document import Document
from opscore.specs.fault import SpecFault
from opscore.specs.reading import read
from opscore.specs.sql import condition_fault, query_fault
from opscore.specs.wording import breaches_as_faults, faults_of


@dataclass(frozen=True, slots=True)
class Parsed:
    """What became of one text. spec is None when there are faults that leave none."""

    file: str
    document: Document | None
    spec: PipelineSpec | None
    faults: tuple[SpecFault, ...]


def parse(text: str, filename: str) -> PipelineSpec:
    """The spec that a YAML text holds, or a JSON text when the filename ends in .json.

    Files that the spec names and other pipelines are not looked at. Raises InvalidSpec for the first fault.
    """
    parsed = examine(text, filename)
    if parsed.faults or parsed.spec is None:
        raise min(parsed.faults, key=lambda fault: fault.line).as_error()
    return parsed.spec


def examine(content: str | bytes, file: str) -> Parsed:
    """The spec and all faults that the text alone can have. Never raises for what the text holds."""
    document, faults = read(content, file)
    if document is None:
        return Parsed(file, None, None, tuple(faults))
    spec, errors = _shape(document.value)
    faults += faults_of(errors, document, file)
    if spec is not None:
        faults += breaches_as_faults([*breaches(spec), *_outside_rules(spec)], document, file)
    return Parsed(file, document, spec, tuple(sorted(faults, key=lambda fault: fault.line)))


def _shape(value: Any) -> tuple[PipelineSpec | None, list[ErrorDetails]]:
    """The spec, as far as unknown keys are all that is wrong with it, and what is wrong."""
    try:
        return PipelineSpec.model_validate(value), []
    except ValidationError as error:
        errors = error.errors(include_url=False, include_input=False)
    if isinstance(value, dict) and all(e["type"] == "extra_forbidden" for e in errors):
        return PipelineSpec.model_validate(value, extra="ignore"), errors
    return None, errors


def _outside_rules(spec: PipelineSpec) -> list[Breach]:
    """Rules that need a time zone database or an SQL parser."""
    found: list[Breach] = []
    for path, clock in clocks(spec):
        if not _is_zone(clock.timezone):
            message = f"`{clock.timezone}` is not a time zone"
            found.append(Breach((*path, "timezone"), message, "Use an IANA name such as UTC or Europe/Brussels."))
    for index, validation in enumerate(spec.validations):
        if isinstance(validation, CustomSql) and (fault := query_fault(validation.sql)):
            hint = "The query returns the bad rows; write one select."
            found.append(Breach(("validations", index, "sql"), fault.message, hint))
        if (
            isinstance(validation, BalancedEntries)
            and validation.where
            and (fault := condition_fault(validation.where))
        ):
            hint = "Write one condition, for example parent_state = 'posted'."
            found.append(Breach(("validations", index, "where"), fault.message, hint))
    return found


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True
