"""Identifiers and literals that are safe inside SQL. Used wherever a statement is built from names and values."""

from __future__ import annotations


def quoted(name: str) -> str:
    """An identifier: `order` -> `"order"`."""
    return '"' + name.replace('"', '""') + '"'


def quoted_table(name: str) -> str:
    """A table with its namespace: `silver.account_move` -> `"silver"."account_move"`."""
    namespace, _, table = name.partition(".")
    return f"{quoted(namespace)}.{quoted(table)}"


def columns_text(names: tuple[str, ...]) -> str:
    """A list of columns: `("a", "b")` -> `"a", "b"`."""
    return ", ".join(quoted(name) for name in names)


def literal(text: str) -> str:
    """A string literal."""
    return "'" + text.replace("'", "''") + "'"
