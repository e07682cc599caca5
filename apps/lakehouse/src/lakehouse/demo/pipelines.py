"""Where the three reference pipelines are: in the checkout, else inside the installed package."""

from __future__ import annotations

from pathlib import Path

from opscore.domain.errors import NotFound

NAMES = ("odoo_ingest_bronze", "bronze_to_silver", "silver_to_gold")
MARTS = (
    "gold.revenue_by_month",
    "gold.trial_balance",
    "gold.receivable_aging",
    "gold.sales_by_customer",
    "gold.stock_on_hand",
)


def spec_files() -> list[Path]:
    """The three specs, in the order they run."""
    folder = _folder()
    return [folder / f"{name}.yaml" for name in NAMES]


def _folder() -> Path:
    packaged = Path(__file__).parents[1] / "pipelines"
    checkout = Path(__file__).parents[5] / "pipelines"
    for folder in (packaged, checkout):
        if (folder / f"{NAMES[0]}.yaml").is_file():
            return folder
    raise NotFound(kind="folder with the reference pipelines at", name=str(packaged), hint="Install the package anew.")
