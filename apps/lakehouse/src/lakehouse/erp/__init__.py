"""A generated ERP: an Odoo-17-shaped Postgres database with consistent books, for the demo, tests and benchmarks."""

from lakehouse.erp.generate import ErpSummary, generate
from lakehouse.erp.mutate import mutate
from lakehouse.erp.plan import TODAY

__all__ = ["TODAY", "ErpSummary", "generate", "mutate"]
