"""What is taken from an Odoo database, and to which group it belongs. Pure rules over names.

In by default: every table of a stored, non-transient model and every many2many table between two such tables. `include`
adds what that leaves out, `exclude` takes away; both are globs over table names (model names match too). A name in
`include` without a wildcard beats `exclude`. `exclude_columns` are globs over `table.column`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Self

LEFT_OUT = ("ir_logging", "ir.logging", "bus_*", "bus.*")
CONTENT = ("ir_attachment.db_datas", "ir_attachment.index_content")

# Columns whose name says that they hold a secret, on any table; and those that do by the table they stand in.
SECRET = re.compile(
    r"password|passwd|passphrase|secret|api_?key|private_key|smtp_pass"
    r"|(^|_)(access|signup|refresh|auth|account|security)_token$|_rtoken$"
)
SECRET_COLUMNS = (
    "res_users_apikeys.key",
    "auth_totp_device.key",
    "ir_mail_server.smtp_ssl_private_key",
    "ir_config_parameter.value",
    "hr_employee.pin",
)

GROUPS: dict[str, tuple[str, ...]] = {
    "finance": ("account.*", "payment.*", "res.currency.rate"),
    "ops": ("sale.*", "purchase.*", "stock.*", "procurement.*", "mrp.*", "project.*", "crm.*", "hr.expense*"),
    "masterdata": ("*",),
}
REST = "masterdata"


@dataclass(frozen=True, slots=True)
class Scope:
    """One source's rules, from the spec."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    exclude_columns: tuple[str, ...] = ()
    groups: Mapping[str, Sequence[str]] | None = None

    @classmethod
    def of(cls, source: Mapping[str, Any]) -> Self:
        """Read a source's entry in the spec."""
        return cls(
            include=tuple(source.get("include") or ()),
            exclude=tuple(source.get("exclude") or ()),
            exclude_columns=tuple(source.get("exclude_columns") or ()),
            groups=source.get("groups") or None,
        )

    def takes(self, table: str, models: Sequence[str], *, by_default: bool) -> bool:
        """Whether a table is taken. models: its model, or both models of a many2many table."""
        names = (table, *models)
        if any(name in self.include for name in names):
            return True
        if _any(self.exclude, names):
            return False
        return (by_default and not _any(LEFT_OUT, names)) or _any(self.include, names)

    def takes_column(self, table: str, column: str) -> bool:
        """Whether a column of a table that is taken is taken with it."""
        name = f"{table}.{column}"
        return not (name in CONTENT + SECRET_COLUMNS or SECRET.search(column) or _any(self.exclude_columns, (name,)))

    def group(self, model: str) -> str:
        """The group of a model: the first with a matching glob."""
        groups = self.groups or GROUPS
        return next((name for name, globs in groups.items() if _any(globs, (model,))), REST)


def _any(patterns: Sequence[str], names: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns for name in names)
