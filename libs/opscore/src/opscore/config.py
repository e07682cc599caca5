"""One frozen settings base per service, read from the environment once.

Called by every `app.py`. A setting that does not parse stops the start with its name, the value's fault and an
example; secrets never appear in that text, nor in `repr`.
"""

from __future__ import annotations

from typing import Any, ClassVar, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from opscore.domain.errors import InvalidSetting

POSTGRES_EXAMPLE = "postgresql://user:password@127.0.0.1:5432/lakehouse"


class Settings(BaseSettings):
    """What every service reads. Subclasses add their own fields and examples."""

    model_config = SettingsConfigDict(frozen=True, env_prefix="LAKEHOUSE_", extra="ignore")
    examples: ClassVar[dict[str, str]] = {
        "database_url": POSTGRES_EXAMPLE,
        "direct_url": POSTGRES_EXAMPLE,
        "warehouse": "file:///srv/lakehouse/warehouse or s3://bucket/prefix",
        "log_format": "json or console",
        "health_port": "9101, or 0 for any free port",
    }

    database_url: SecretStr
    direct_url: SecretStr | None = None
    health_port: int = Field(default=0, ge=0, le=65535)
    health_file: str | None = None  # where the chosen port is written, for the supervisor
    log_format: str = Field(default="json", pattern="^(json|console)$")
    log_level: str = Field(default="info", pattern="^(debug|info|warning|error)$")

    @field_validator("database_url", "direct_url")
    @classmethod
    def _is_postgres(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            check_postgres_url(value.get_secret_value())
        return value

    @property
    def dsn(self) -> str:
        """Connection string for pooled work."""
        return self.database_url.get_secret_value()

    @property
    def listen_dsn(self) -> str:
        """Connection string for the one LISTEN connection: must not pass a transaction pooler."""
        return (self.direct_url or self.database_url).get_secret_value()

    @classmethod
    def load(cls, **overrides: Any) -> Self:
        """Read the environment. Raises InvalidSetting for the first fault found."""
        try:
            return cls(**overrides)
        except ValidationError as error:
            raise cls._explain(error) from None

    @classmethod
    def _explain(cls, error: ValidationError) -> InvalidSetting:
        first = error.errors(include_input=False, include_url=False)[0]
        field = str(first["loc"][0]) if first["loc"] else "settings"
        name = field if field.isupper() else f"{cls.model_config.get('env_prefix', '')}{field}".upper()
        fault = "it is not set" if first["type"] == "missing" else first["msg"].removeprefix("Value error, ")
        return InvalidSetting(name=name, fault=fault, example=cls.examples.get(field, "see docs/reference/settings.md"))


class LakeSettings(Settings):
    """For services that touch the lake."""

    warehouse: str
    s3_endpoint: str | None = None
    s3_access_key_id: str | None = None
    s3_secret_access_key: SecretStr | None = None
    s3_region: str | None = None

    @field_validator("warehouse")
    @classmethod
    def _is_uri(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme == "file" and parts.path.startswith("/") and not parts.netloc:
            return value.rstrip("/")
        if parts.scheme == "s3" and parts.netloc:
            return value.rstrip("/")
        raise ValueError("it must be a file:///absolute/path or s3://bucket/prefix address")


def check_postgres_url(url: str) -> str:
    """Return the URL when it can be a Postgres address; raise ValueError, without its text, when not."""
    parts = urlsplit(url)
    if parts.scheme not in {"postgresql", "postgres"}:
        raise ValueError("it must start with postgresql://")
    try:
        port_is_fine = parts.port is None or 0 < parts.port < 65536
    except ValueError:
        port_is_fine = False
    if not port_is_fine:
        raise ValueError("its port is not a number between 1 and 65535")
    return url
