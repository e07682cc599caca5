"""Writes down what others say happened, in the order it hears it; a process of its own that no fault touches.

Run as `python -m support.recorder SOCKET FILE`. Whoever reports sends one datagram of JSON; a full queue makes it wait,
so that nothing is dropped. The datagram `stop` ends the process, behind everything that was said before.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import anyio

LONGEST = 1 << 16


def record(address: str, file: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear, file.open("ab", buffering=0) as book:
        ear.bind(address)
        while (heard := ear.recv(LONGEST)) != b"stop":
            book.write(heard + b"\n")


class Mouth:
    """Reports to a recorder. Every report carries `at`, in seconds of a clock that all processes share."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.connect(address)

    def say(self, what: str, **facts: Any) -> None:
        self._socket.send(json.dumps({"what": what, "at": time.monotonic(), **facts}, default=str).encode())

    def stop(self) -> None:
        self._socket.send(b"stop")
        self.close()

    def close(self) -> None:
        self._socket.close()


class Recorder:
    """The process, and what it has written so far. counts: how often each thing was said."""

    def __init__(self, folder: Path) -> None:
        """folder: with a short path; addresses of sockets may not exceed 107 bytes."""
        self.address = str(folder / "recorder")
        self.counts = Counter[str]()
        self._book = folder / "recorder.jsonl"
        self._book.touch()
        self._facts: list[dict[str, Any]] = []
        self._read = 0
        argv = [sys.executable, "-m", "support.recorder", self.address, str(self._book)]
        self._process = subprocess.Popen(argv, cwd=Path(__file__).parents[1])

    async def listens(self) -> Mouth:
        while not Path(self.address).exists():
            assert self._process.poll() is None, "the recorder did not come up"
            await anyio.sleep(0.02)
        return Mouth(self.address)

    def heard(self) -> list[dict[str, Any]]:
        """Everything so far, in order; a line that is still under way is read the next time."""
        with self._book.open("rb") as book:
            book.seek(self._read)
            whole, _, _ = book.read().rpartition(b"\n")
        if whole:
            self._read += len(whole) + 1
            news = [json.loads(line) for line in whole.splitlines()]
            self._facts += news
            self.counts.update(fact["what"] for fact in news)
        return self._facts

    def finish(self, mouth: Mouth) -> list[dict[str, Any]]:
        """Everything that was ever said."""
        mouth.stop()
        self._process.wait(30)
        return self.heard()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


if __name__ == "__main__":
    record(sys.argv[1], Path(sys.argv[2]))
