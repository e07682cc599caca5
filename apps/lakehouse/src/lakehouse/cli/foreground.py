"""A stack in the foreground of a command: Ctrl-C takes it down, whenever it comes. Used by `up` and `demo`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager

from lakehouse.cli.base import say
from lakehouse.embedded.bringup import Stack, bring_up


@asynccontextmanager
async def foreground(environ: Mapping[str, str], *, port: int | None = None) -> AsyncGenerator[Stack]:
    """The stack, healthy. Ctrl-C before that raises KeyboardInterrupt; behind it, it ends the block quietly."""
    bringing = bring_up(port=port, on_progress=say, environ=environ)
    try:
        stack = await bringing.__aenter__()  # the two halves apart: only the first may end without a stack
    except RuntimeError as error:
        if "didn't yield" in str(error):  # what contextlib says of a bring-up that a signal ended
            raise KeyboardInterrupt from None
        raise
    try:
        yield stack
    except BaseException as error:
        if not await bringing.__aexit__(type(error), error, error.__traceback__):
            raise
    else:
        await bringing.__aexit__(None, None, None)
