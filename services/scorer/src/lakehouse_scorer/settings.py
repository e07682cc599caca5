"""What the scorer reads from its environment. Loaded by `app.py`."""

from __future__ import annotations

from opscore.config import Settings


class ScorerSettings(Settings):
    """Nothing beside what every service reads."""
