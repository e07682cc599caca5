"""Deletes files of artifacts past retention. Called by `app.py`, beside the work: executors reach the warehouse.

The control plane hands each artifact to one executor. The row goes after the file, so a crash between leaves a row that
is handed out again, never a file that nobody knows.
"""

from __future__ import annotations

import contextlib

from anyio import to_thread

from opscore.domain.errors import ControlPlaneUnavailable, OpsError
from opscore.observe.observation import ArtifactsRemoved
from opscore.ports.artifacts import Disposal
from opscore.ports.housekeeping import ExpiredArtifact, Tidying
from opscore.runtime.retry import persist
from opscore.runtime.service import Service

EVERY = 3600.0
BATCH = 100


async def keep_tidy(control: Tidying, artifacts: Disposal, service: Service) -> None:
    """Tidy up once an hour until a stop is asked for."""
    stopping = service.stopping
    while not stopping.draining:
        await stopping.pause(EVERY, service.clock)
        more = not stopping.draining
        while more:
            with contextlib.suppress(ControlPlaneUnavailable):  # raised only once a stop is asked for
                more = await persist(
                    lambda: tidy(control, artifacts, service), "tidy", service, until=lambda: stopping.draining
                )
            more = more and not stopping.draining


async def tidy(control: Tidying, artifacts: Disposal, service: Service) -> bool:
    """Delete one batch; whether there may be more. What cannot be deleted now is handed out again later."""
    expired = await control.take_expired_artifacts(BATCH)
    gone = [artifact for artifact in expired if await _delete(artifact, artifacts)]
    if gone:
        service.observer.notice(ArtifactsRemoved(await control.forget_artifacts([artifact.id for artifact in gone])))
    return len(expired) == BATCH


async def _delete(artifact: ExpiredArtifact, artifacts: Disposal) -> bool:
    try:
        await to_thread.run_sync(artifacts.delete, artifact.uri)
    except OpsError:
        return False
    return True
