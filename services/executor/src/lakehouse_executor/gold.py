"""A table made from one query: what it reads, what it is given, and whether it must be made again.

Pure; the transform phase asks, `worker_transform` computes. Raise VERSION when the way of making tables changes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lakehouse_executor.change_log import ordered_by
from lakehouse_executor.statements import Names, names_in
from opscore.domain.errors import InvalidInput, TransformFailed
from opscore.domain.transform import SqlTransform

VERSION = 1


@dataclass(frozen=True, slots=True)
class Mart:
    """A `sql` transform, ready to run. inputs: full table names. parameters: values by name, dates as dates."""

    table: str
    file: str
    sql: str
    key: tuple[str, ...]
    inputs: tuple[str, ...]
    parameters: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """What the rows depend on besides the inputs: query, order and the way of making tables."""
        return hashlib.sha256("\n".join([str(VERSION), ",".join(self.key), self.sql]).encode()).hexdigest()

    @property
    def params_text(self) -> dict[str, str]:
        """Parameters as JSON text, for states and manifests."""
        return {name: str(value) for name, value in sorted(self.parameters.items())}


def mart(transform: SqlTransform, sql: str, values: Mapping[str, Any]) -> Mart:
    """Read a transform's query. values: the run's parameters by name. Raises TransformFailed naming the file."""
    names = _names(transform, sql)
    return Mart(
        table=transform.table,
        file=transform.file,
        sql=sql,
        key=transform.key,
        inputs=transform.inputs or tuple(sorted(names.tables)),
        parameters={name: _value(transform, name, values) for name in sorted(names.parameters)},
    )


def order_of(mart: Mart, columns: tuple[str, ...]) -> str:
    """One order for a mart's rows: by key, then, should keys repeat, by all other columns.

    Raises TransformFailed when the query does not return a key column.
    """
    for name in mart.key:
        if name not in columns:
            raise TransformFailed(file=mart.file, fault=f"its key names {name}, which the query does not return")
    return ordered_by((*mart.key, *(name for name in columns if name not in mart.key)))


def in_waves(transforms: list[Mart]) -> list[list[Mart]]:
    """Marts in the order of the spec, grouped so that none reads what another of its group makes."""
    groups: list[list[Mart]] = []
    for item in transforms:
        made = {other.table for other in groups[-1]} if groups else set[str]()
        if groups and not made.intersection(item.inputs) and item.table not in made:
            groups[-1].append(item)
        else:
            groups.append([item])
    return groups


def _names(transform: SqlTransform, sql: str) -> Names:
    try:
        names = names_in(sql)
    except InvalidInput as error:
        raise TransformFailed(file=transform.file, fault=error.message) from error
    if names.unplaced:
        name = min(names.unplaced)
        raise TransformFailed(file=transform.file, fault=f"it reads {name}, which lacks its layer (silver.{name}?)")
    return names


def _value(transform: SqlTransform, name: str, values: Mapping[str, Any]) -> Any:
    if name not in values:
        fault = f"it uses ${name}, which is not a parameter of the pipeline"
        raise TransformFailed(file=transform.file, fault=fault, hint="Declare it under `params` in the spec.")
    return values[name]
