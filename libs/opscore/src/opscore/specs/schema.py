"""The JSON schema of a pipeline spec, generated from its models, and the way through it.

`tools/generate.py` writes it to `contracts/pipeline.schema.json`; complaints take "what is allowed" from it.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from opscore.domain.pipeline import PipelineSpec
from opscore.domain.pipeline_rules import Path

Schema = dict[str, Any]


class _Contract(GenerateJsonSchema):
    """Leaves out the titles that only repeat names, and refuses keys that the models refuse."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        del schema
        return False

    def dict_schema(self, schema: Any) -> JsonSchemaValue:
        found = super().dict_schema(schema)
        return {**found, "additionalProperties": False} if "patternProperties" in found else found

    def generate(self, schema: Any, mode: Any = "validation") -> JsonSchemaValue:
        head = {
            "$schema": self.schema_dialect,
            "title": "Pipeline spec of the Lakehouse Control Room",
        }
        return {**super().generate(schema, mode), **head}


@cache
def pipeline_schema() -> Schema:
    """JSON Schema (draft 2020-12) of a spec as its author writes it. Do not change the result: it is shared."""
    return PipelineSpec.model_json_schema(by_alias=True, mode="validation", schema_generator=_Contract)


def locate(loc: Iterable[str | int]) -> tuple[Path, Schema]:
    """Where a pydantic location points: the path in the document, and the schema that holds there.

    Locations name the chosen branch of a union as one more part; paths do not.
    """
    path: Path = ()
    schema = _meant(pipeline_schema())
    for part in loc:
        if "discriminator" in schema and part in schema["discriminator"]["mapping"]:
            schema = _meant({"$ref": schema["discriminator"]["mapping"][part]})
            continue
        inner = _inner(schema, part)
        if inner is None:
            break
        path, schema = (*path, part), _meant(inner)
    return path, schema


def expected(schema: Schema) -> str:  # noqa: PLR0911 - one line for each kind of schema
    """What the schema allows, as the end of the sentence "must be ..."."""
    match schema:
        case {"x-allowed": str(phrase)}:
            return phrase
        case {"enum": list(values)}:
            return f"one of {', '.join(str(value) for value in values)}"
        case {"const": value}:
            return f"`{value}`"
        case {"type": "string"}:
            return "text" + _between(schema, "minLength", "maxLength", " of {} characters")
        case {"type": "integer"}:
            return "an integer" + _between(schema, "minimum", "maximum", " from {}")
        case {"type": "boolean"}:
            return "true or false"
        case {"type": "array", "items": items}:
            least = " with at least one item" if schema.get("minItems") else ""
            return f"a list{least}, each {expected(_meant(items))}"
        case {"type": "object"} | {"discriminator": _}:
            return "a mapping"
        case _:
            return "something else"


def keys(schema: Schema) -> list[str]:
    """The keys that a mapping of this schema may have."""
    return list(schema.get("properties", {}))


def choices(schema: Schema) -> list[str]:
    """The values of the key that tells the branches of a union apart, or of an enumeration."""
    if "discriminator" in schema:
        tags = [_meant(branch)["properties"][schema["discriminator"]["propertyName"]] for branch in schema["oneOf"]]
        return [value for tag in tags for value in tag.get("enum", [tag.get("const")])]
    return [str(value) for value in schema.get("enum", [])]


def _meant(schema: Schema) -> Schema:
    """The schema behind a reference or behind `or null`, its description kept."""
    outer = {key: value for key, value in schema.items() if key in {"description", "x-allowed"}}
    if "$ref" in schema:
        return {**_meant(pipeline_schema()["$defs"][schema["$ref"].rpartition("/")[2]]), **outer}
    branches = [branch for branch in schema.get("anyOf", []) if branch.get("type") != "null"]
    return {**_meant(branches[0]), **outer} if branches else schema


def _inner(schema: Schema, part: str | int) -> Schema | None:
    if isinstance(part, int):
        return schema.get("items")
    if part in schema.get("properties", {}):
        return schema["properties"][part]
    if schema.get("type") != "object":
        return None
    patterns = schema.get("patternProperties", {})
    return next(iter(patterns.values()), None) or (schema.get("additionalProperties") or None)


def _between(schema: Schema, low_key: str, high_key: str, phrase: str) -> str:
    low, high = schema.get(low_key), schema.get(high_key)
    if high is None or abs(high) > 1 << 40:
        return "" if low is None or abs(low) > 1 << 40 else phrase.format(f"at least {low}").replace(" from", " of")
    return phrase.format(f"{low or 0} to {high}")
