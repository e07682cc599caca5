"""A real headless Chromium, driven over a pipe in its own protocol: open an address, wait for what a person would see.

The protocol (DevTools over file descriptors 3 and 4: JSON messages that end with a zero byte) needs no port and no
library; dumping a document instead would never end, because the page keeps its feed open.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
PATIENCE_S = 60
LONGEST_MESSAGE = 1 << 24
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run",
    "--no-proxy-server", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--remote-debugging-pipe",
)  # fmt: skip
WITH_PIPES = 'exec "$@" 3<&"$COMMANDS" 4>&"$ANSWERS"'
VISIBLE = "document.body?.innerText ?? ''"
ONCE_VISIBLE = """
new Promise((seen) => {
  const look = () => { const text = %(visible)s; if (%(texts)s.every((one) => text.includes(one))) seen(text); };
  new MutationObserver(look).observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
  look();
})
"""


class Page:
    """One tab of a browser."""

    def __init__(self, commands: int, answers: asyncio.StreamReader) -> None:
        self._commands = commands
        self._answers = answers
        self._sent = 0
        self._session: dict[str, str] = {}

    async def attach(self) -> None:
        """Make the tab."""
        tab = await self._call("Target.createTarget", url="about:blank")
        attached = await self._call("Target.attachToTarget", targetId=tab["targetId"], flatten=True)
        self._session = {"sessionId": attached["sessionId"]}

    async def open(self, url: str) -> None:
        """Go to an address."""
        async with asyncio.timeout(PATIENCE_S):
            await self._call("Page.navigate", url=url)

    async def click(self, selector: str) -> None:
        """Press the first element of a CSS selector."""
        await self._evaluate(f"document.querySelector({json.dumps(selector)}).click()")

    async def shows(self, *texts: str) -> str:
        """The visible text once it holds all of these; fails with the visible text when it does not come to that."""
        wanted = ONCE_VISIBLE % {"visible": VISIBLE, "texts": json.dumps(texts)}
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await self._evaluate(wanted)
        except TimeoutError:
            raise AssertionError(f"{texts} did not show; what shows: {await self._evaluate(VISIBLE)}") from None

    async def _evaluate(self, expression: str) -> Any:
        answer = await self._call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def _call(self, method: str, **params: Any) -> dict[str, Any]:
        self._sent += 1
        message = {"id": self._sent, "method": method, "params": params, **self._session}
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = json.loads((await self._answers.readuntil(b"\0"))[:-1])
            if answer.get("id") == self._sent:
                assert "error" not in answer, (method, answer)
                return answer["result"]


@asynccontextmanager
async def browsing(folder: Path) -> AsyncIterator[Page]:
    """A tab of a browser whose profile is in the folder; no process of it outlives the block."""
    child_reads, we_write = os.pipe()
    we_read, child_writes = os.pipe()
    browser = await asyncio.create_subprocess_exec(
        "bash", "-c", WITH_PIPES, "bash", str(CHROMIUM), *FLAGS, f"--user-data-dir={folder / 'profile'}",
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, "HOME": str(folder), "COMMANDS": str(child_reads), "ANSWERS": str(child_writes)},
        pass_fds=(child_reads, child_writes), start_new_session=True,
    )  # fmt: skip
    os.close(child_reads)
    os.close(child_writes)
    answers = asyncio.StreamReader(limit=LONGEST_MESSAGE)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(answers), os.fdopen(we_read, "rb", buffering=0)
    )
    page = Page(we_write, answers)
    try:
        async with asyncio.timeout(PATIENCE_S):
            await page.attach()
        yield page
    finally:
        os.close(we_write)  # which tells the browser to end
        await ended(browser)
        transport.close()


async def ended(browser: asyncio.subprocess.Process) -> None:
    """Wait for the browser's end, or make it."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            await browser.wait()
    except TimeoutError:
        os.killpg(browser.pid, signal.SIGKILL)
        await browser.wait()
