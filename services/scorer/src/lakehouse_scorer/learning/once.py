"""One proposal for one environment, then the end: `lakehouse-scorer --propose`. Called by `__main__.py`."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from lakehouse_scorer.learning.propose import propose
from lakehouse_scorer.settings import ScorerSettings
from opscore.db.pool import open_database
from opscore.db.scorer_rpc import ScorerRpc

APPLICATION = "lakehouse-scorer learning"
LOOK_BACK = timedelta(days=90)


async def propose_once(settings: ScorerSettings, environment: UUID) -> UUID:
    """The proposal's id. Raises InvalidInput when the history says too little."""
    async with open_database(settings.dsn, application=APPLICATION, min_size=1, max_size=1) as database:
        return await propose(ScorerRpc(database), environment, since=LOOK_BACK, by="lakehouse-scorer")
