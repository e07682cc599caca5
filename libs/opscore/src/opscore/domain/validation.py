"""What a pipeline checks before it publishes. Part of `PipelineSpec`; the executor's validate phase evaluates it."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field

from opscore.domain.check import CheckAction
from opscore.domain.spec_value import Amount, ColumnName, ColumnReference, Name, Share, SpecPart, TablePattern, Text

Condition = Annotated[Text, Field(min_length=1, max_length=4000)]
ZERO = Decimal(0)


class Validation(SpecPart):
    """What all checks share. A check of several tables is evaluated on each of them."""

    dataset: TablePattern = Field(description="The table that is checked, or a pattern for several.")
    action: CheckAction = Field(
        default=CheckAction.FAIL, description="fail: the run does not publish. warn: it does, and says so."
    )


class RowCount(Validation):
    """As many rows as the source has at the same snapshot."""

    check: Literal["row_count"]
    name: Name = Field(default="row_count", description="What results call this check.")
    tolerance: Amount = Field(default=ZERO, description="How many rows may differ.")


class NullShare(Validation):
    """The share of rows without a value."""

    check: Literal["null_share"]
    name: Name = Field(default="null_share", description="What results call this check.")
    column: ColumnName = Field(description="The column that is looked at.")
    max: Share = Field(default=ZERO, description="The largest share of nulls that passes.")


class UniqueKey(Validation):
    """No key stands in two rows."""

    check: Literal["unique_key"]
    name: Name = Field(default="unique_key", description="What results call this check.")
    columns: tuple[ColumnName, ...] = Field(default=(), description="The key; empty means the table's own.")
    max: Amount = Field(default=ZERO, description="How many keys may stand twice.")


class Referential(Validation):
    """Every value is found in the column it refers to; nulls refer to nothing."""

    check: Literal["referential"]
    name: Name = Field(default="referential", description="What results call this check.")
    column: ColumnName = Field(description="The column that refers.")
    references: ColumnReference = Field(description="The column referred to, for example silver.account_move.id.")
    max: Amount = Field(default=ZERO, description="How many rows may refer to nothing.")


class AcceptedValues(Validation):
    """Every value is one of a list; nulls pass."""

    check: Literal["accepted_values"]
    name: Name = Field(default="accepted_values", description="What results call this check.")
    column: ColumnName = Field(description="The column that is looked at.")
    values: tuple[Text, ...] = Field(min_length=1, description="The values that pass, as text.")
    max: Amount = Field(default=ZERO, description="How many rows may hold another value.")


class Drift(Validation):
    """No column changed its type since the last publish; new and wider columns pass."""

    check: Literal["drift"]
    name: Name = Field(default="drift", description="What results call this check.")


class BalancedEntries(Validation):
    """Within each group debit equals credit."""

    check: Literal["balanced_entries"]
    name: Name = Field(default="balanced_entries", description="What results call this check.")
    group_by: ColumnName = Field(description="The column that holds a group together, for example move_id.")
    debit: ColumnName = Field(default="debit", description="The column of debits.")
    credit: ColumnName = Field(default="credit", description="The column of credits.")
    where: Condition | None = Field(default=None, description="SQL condition on the rows that count.")
    tolerance: Amount = Field(default=ZERO, description="By how much a group may be off.")


class CustomSql(Validation):
    """A query that returns the bad rows."""

    check: Literal["custom_sql"]
    name: Name = Field(description="What results call this check.")
    sql: Annotated[Text, Field(min_length=1, max_length=20_000)] = Field(
        description="One query; its rows are bad rows."
    )
    max: Amount = Field(default=ZERO, description="How many bad rows pass.")


AnyValidation = Annotated[
    RowCount | NullShare | UniqueKey | Referential | AcceptedValues | Drift | BalancedEntries | CustomSql,
    Field(discriminator="check"),
]
