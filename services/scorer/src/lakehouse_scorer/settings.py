"""What the scorer reads from its environment. Loaded by `app.py`."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from opscore.config import Settings


class ScorerSettings(Settings):
    """Beside what every service reads: how often weights are learned from history."""

    examples: ClassVar[dict[str, str]] = Settings.examples | {"propose_every_s": "86400, or 0 for never"}

    propose_every_s: int = Field(default=86_400, ge=0, le=31_536_000)
