"""The kinds of value a pipeline spec is made of. Used by every model of a spec, nowhere else.

`Allowed` puts into the JSON schema, and so into every complaint, what a person may write instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    PlainSerializer,
    SerializerFunctionWrapHandler,
    Strict,
    StringConstraints,
    model_serializer,
)
from pydantic_core import CoreSchema


class SpecPart(BaseModel):
    """Frozen, refuses unknown keys, and leaves values out of its complaints (they may be secrets).

    later: keys younger than the first release. A spec that does not use them is written without them, so that it keeps
    its digest, and executors of that release can still read it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, hide_input_in_errors=True)

    later: ClassVar[frozenset[str]] = frozenset()

    @model_serializer(mode="wrap")
    def _as_old_as_possible(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        content: dict[str, Any] = handler(self)
        fields = type(self).model_fields
        unused = {key for key in self.later if getattr(self, key) == fields[key].get_default(call_default_factory=True)}
        return {key: value for key, value in content.items() if key not in unused}


@dataclass(frozen=True, slots=True)
class Allowed:
    """What is allowed, as the end of the sentence "must be ...". Lands in the schema as `x-allowed`."""

    phrase: str

    def __get_pydantic_json_schema__(self, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Add the phrase to the type's schema."""
        return {**handler(core_schema), "x-allowed": self.phrase}


@dataclass(frozen=True, slots=True)
class ExactNumber(Allowed):
    """Numbers that may also be written as exact decimal text, which the schema then holds to plain digits."""

    def __get_pydantic_json_schema__(self, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Give the text branch its pattern."""
        schema: dict[str, Any] = {**handler(core_schema), "x-allowed": self.phrase}
        pattern = {"pattern": r"^[0-9]{1,38}(\.[0-9]{1,18})?$"}
        branches: list[dict[str, Any]] = schema["anyOf"]
        return {**schema, "anyOf": [{**b, **pattern} if b["type"] == "string" else b for b in branches]}


def plain(number: Decimal) -> str:
    """Exact decimal text without exponent or trailing zeros: one value, one text."""
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


Namespace = Literal["bronze", "silver", "gold"]

Text = Annotated[str, Strict()]
Flag = Annotated[bool, Strict()]
Whole = Annotated[int, Strict()]
Amount = Annotated[
    Decimal,
    Field(ge=0, max_digits=38, decimal_places=18, allow_inf_nan=False),
    PlainSerializer(plain, return_type=str, when_used="json"),
    ExactNumber("a number of at least 0, with at most 18 decimal places"),
]
Share = Annotated[
    Decimal,
    Field(ge=0, le=1, max_digits=19, decimal_places=18, allow_inf_nan=False),
    PlainSerializer(plain, return_type=str, when_used="json"),
    ExactNumber("a share from 0 to 1, for example 0.05"),
]

Name = Annotated[
    str,
    Strict(),
    StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$"),
    Allowed("a name of a-z, 0-9 and _ that starts with a letter and has at most 63 characters"),
]
ColumnName = Annotated[
    str,
    Strict(),
    StringConstraints(pattern=r"^[a-z_][a-z0-9_]{0,62}$"),
    Allowed("a column name in lower case, for example `partner_id`"),
]
TableName = Annotated[
    str,
    Strict(),
    StringConstraints(pattern=r"^(bronze|silver|gold)\.[a-z_][a-z0-9_]{0,62}$"),
    Allowed("a table with its namespace, for example `gold.trial_balance`"),
]
TablePattern = Annotated[
    str,
    Strict(),
    StringConstraints(pattern=r"^(bronze|silver|gold)\.[a-z0-9_*?]{1,63}$"),
    Allowed("a table or a pattern with its namespace, for example `silver.res_partner` or `bronze.*`"),
]
ColumnReference = Annotated[
    str,
    Strict(),
    StringConstraints(pattern=r"^(bronze|silver|gold)\.[a-z_][a-z0-9_]{0,62}\.[a-z_][a-z0-9_]{0,62}$"),
    Allowed("namespace, table and column, for example `silver.account_move.id`"),
]
SourcePattern = Annotated[
    str,
    Strict(),
    StringConstraints(pattern=r"^[A-Za-z0-9_.*?]{1,128}$"),
    Allowed("a source table or model, or a pattern for them, for example `bus_*`"),
]
SourceColumnPattern = Annotated[
    str,
    Strict(),
    StringConstraints(pattern=r"^[A-Za-z0-9_*?]{1,63}\.[A-Za-z0-9_*?]{1,63}$"),
    Allowed("table.column, each with * and ? if wanted, for example `res_users.password` or `*.access_token`"),
]
ModelPattern = Annotated[
    str,
    Strict(),
    StringConstraints(pattern=r"^[a-z0-9_.*?]{1,128}$"),
    Allowed("an Odoo model or a pattern, for example `account.*`"),
]
SecretReference = Annotated[
    str,
    Strict(),
    StringConstraints(pattern=r"^(env:[A-Za-z_][A-Za-z0-9_]*|file:/[A-Za-z0-9_./-]+)$"),
    Allowed("a reference to a secret, `env:NAME` or `file:/path`, never the secret itself"),
]
# No part of the path may start with a dot: `..` and absolute paths have no spelling.
SqlFile = Annotated[
    str,
    Strict(),
    StringConstraints(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9_.-]*(/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*\.sql$", max_length=200),
    Allowed("a path to a .sql file below the spec's folder, for example `sql/gold/trial_balance.sql`"),
]
Capability = Annotated[
    str,
    Strict(),
    StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}(:[A-Za-z0-9_.-]{1,64})?$"),
    Allowed("a capability of executors, for example `engine:duckdb`"),
]
Label = Annotated[
    str,
    Strict(),
    StringConstraints(pattern=r"^[a-z0-9][a-z0-9_.:/-]{0,62}$"),
    Allowed("a label of at most 63 of a-z, 0-9 and _.:/- that begins with a letter or digit, for example `team:sales`"),
]
Language = Annotated[
    str,
    Strict(),
    StringConstraints(pattern=r"^[a-z]{2,3}(_[A-Z]{2}|_[0-9]{3})?(@[a-z]+)?$"),
    Allowed("a language code of Odoo, for example `en_US`"),
]
