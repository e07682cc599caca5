"""What pydantic found, in the words of whoever wrote the spec. Called by `parsing` for specs of the wrong shape."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import Any

from pydantic_core import ErrorDetails

from opscore.domain.pipeline_rules import Path
from opscore.specs.document import Document
from opscore.specs.fault import SpecFault, quoted, shown
from opscore.specs.schema import Schema, choices, expected, keys, locate

CONTRACT = "See contracts/pipeline.schema.json"


def faults_of(errors: Iterable[ErrorDetails], document: Document, file: str) -> list[SpecFault]:
    """One fault for each error, in the order of the file."""
    found = list(errors)
    return sorted(
        {_fault(error, document, file) for error in found if not _follows(error, found)}, key=lambda f: f.line
    )


def label(path: Path) -> str:
    """A path as people write it: `validations[2].max`. Empty for the whole spec."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{quoted(part)}" for part in path)
    return text.removeprefix(".")


def value_at(document: Document, path: Path) -> Any:
    """What the document holds at a path, None when there is nothing."""
    value: Any = document.value
    for part in path:
        inside: dict[Any, Any] = (
            value if isinstance(value, dict) else dict(enumerate(value)) if isinstance(value, list) else {}
        )
        value = inside.get(part)
    return value


def _follows(error: ErrorDetails, errors: list[ErrorDetails]) -> bool:
    """Whether a list only looks too short because its items are faulty."""
    loc = error["loc"]
    return error["type"] == "too_short" and any(e["loc"][: len(loc)] == loc and e is not error for e in errors)


def _fault(error: ErrorDetails, document: Document, file: str) -> SpecFault:
    path, schema = locate(error["loc"])
    match error["type"]:
        case "missing":
            where, (message, hint) = path[:-1], _missing(path, schema)
        case "extra_forbidden":
            where, (message, hint) = (*path, error["loc"][-1]), _unknown_key(path, str(error["loc"][-1]), schema)
        case "union_tag_not_found":
            where, (message, hint) = path, _missing((*path, _tag(schema)), {"enum": choices(schema)})
        case "union_tag_invalid":
            where = (*path, _tag(schema))
            message, hint = _wrong(where, {"enum": choices(schema)}, value_at(document, where))
        case _ if error["loc"][-1:] == ("[key]",):
            where, (message, hint) = path, _wrong_key(path)
        case _:
            where, (message, hint) = path, _wrong(path, schema, value_at(document, path))
    return SpecFault(file, document.line(where), message, hint)


def _missing(path: Path, schema: Schema) -> tuple[str, str]:
    inside = f"{label(path[:-1])}: " if path[:-1] else ""
    about = f" ({schema['description'].rstrip('.')})" if "description" in schema else ""
    return f"{inside}the key `{path[-1]}` is missing", f"Add `{path[-1]}`{about}: {expected(schema)}"


def _unknown_key(path: Path, key: str, schema: Schema) -> tuple[str, str]:
    where = f"`{label(path)}`" if path else "a spec"
    allowed = f"allowed are {', '.join(keys(schema))}"
    return f"`{quoted(key)}` is not a key of {where}; {allowed}", _did_you_mean(key, keys(schema)) or "Remove it"


def _wrong_key(path: Path) -> tuple[str, str]:
    inside = f"{label(path[:-1])}: " if path[:-1] else ""
    message = f"{inside}`{quoted(str(path[-1]))}` must be a name of a-z, 0-9 and _ that starts with a letter"
    return message, "Rename it; a name has at most 63 characters"


def _wrong(path: Path, schema: Schema, value: Any) -> tuple[str, str]:
    subject = f"`{label(path)}`" if path else "a spec"
    message = f"{subject} must be {expected(schema)}" + _instead(path, schema, value)
    return message, _did_you_mean(value, choices(schema)) or _advice(schema, value)


def _instead(path: Path, schema: Schema, value: Any) -> str:
    if path[-1:] == ("connection",) and isinstance(value, str):
        return " (what stands here is not repeated, it may be a secret)"
    if isinstance(value, (list, str)) and not value:
        return ", not empty"
    if isinstance(value, str) and len(value) > schema.get("maxLength", len(value)):
        return f", not {len(value)} characters"
    return f", not {shown(value)}"


def _advice(schema: Schema, value: Any) -> str:
    is_number = isinstance(value, (bool, int)) or hasattr(value, "as_tuple")
    if schema.get("type") == "string" and is_number and "enum" not in schema:
        return "Put it in quotes"
    if schema.get("type") == "boolean" and isinstance(value, str):
        return "Write true or false, without quotes"
    if schema.get("type") == "array" and isinstance(value, str):
        return "Write a list: [one, two]"
    about = schema.get("description", "").rstrip(".")
    return f"{about}. {CONTRACT}" if about else CONTRACT


def _did_you_mean(value: Any, allowed: list[str]) -> str:
    close = get_close_matches(str(value)[:100].lower(), allowed, n=1) if isinstance(value, str) else []
    return f"Did you mean `{close[0]}`?" if close else ""


def _tag(schema: Schema) -> str:
    return schema["discriminator"]["propertyName"]


def breaches_as_faults(breaches: Iterable[Any], document: Document, file: str) -> Iterator[SpecFault]:
    """Broken rules, each at its line."""
    for breach in breaches:
        inside = f"{label(breach.path)}: " if breach.path else ""
        yield SpecFault(file, document.line(breach.path), inside + breach.message, breach.hint)
