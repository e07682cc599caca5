"""Where the lake is, as plain values that cross process borders. Built once per service from its settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

from opscore.config import LakeSettings

CATALOG_NAME = "lakehouse"
CATALOG_SCHEMA = "iceberg"


@dataclass(frozen=True, slots=True)
class LakeOptions:
    """dsn: Postgres that holds the Iceberg catalog. warehouse: `file:///path` or `s3://bucket/prefix`, no final slash.

    Hashable, so that a worker process keeps one lake per options. Secrets stay out of `repr`.
    """

    dsn: str = field(repr=False)
    warehouse: str
    s3_endpoint: str | None = None
    s3_access_key_id: str | None = None
    s3_secret_access_key: str | None = field(default=None, repr=False)
    s3_region: str | None = None

    @classmethod
    def from_settings(cls, settings: LakeSettings) -> Self:
        """Take what the lake needs from a service's settings."""
        secret = settings.s3_secret_access_key
        return cls(
            dsn=settings.dsn,
            warehouse=settings.warehouse,
            s3_endpoint=settings.s3_endpoint,
            s3_access_key_id=settings.s3_access_key_id,
            s3_secret_access_key=secret.get_secret_value() if secret else None,
            s3_region=settings.s3_region,
        )

    @property
    def io_properties(self) -> dict[str, str]:
        """File access as PyIceberg names it."""
        named = {
            "s3.endpoint": self.s3_endpoint,
            "s3.access-key-id": self.s3_access_key_id,
            "s3.secret-access-key": self.s3_secret_access_key,
            "s3.region": self.s3_region,
        }
        given = {name: value for name, value in named.items() if value}
        return {"py-io-impl": "pyiceberg.io.pyarrow.PyArrowFileIO", **given}
