"""Work in a thread and loop of its own: fixtures that outlive a test must not touch the tests' loops."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

Value = TypeVar("Value")


def aside(work: Callable[[], Coroutine[Any, Any, Value]]) -> Value:
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(lambda: asyncio.run(work())).result()
