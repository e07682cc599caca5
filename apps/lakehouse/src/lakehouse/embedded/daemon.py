"""`python -m lakehouse.embedded.daemon HOME [PORT]`: a stack in the background, until SIGTERM.

Started by `up`, in a session of its own, with output going to `<home>/logs/supervisor.log`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import anyio

from lakehouse.embedded.bringup import bring_up
from opscore.domain.errors import OpsError


async def serve(home: Path, port: int | None) -> None:
    """Run the stack until a signal ends it."""
    async with bring_up(home, port=port, on_progress=_say):
        await anyio.sleep_forever()


def main(argv: list[str]) -> int:
    """Exit code 0 for a stop that was asked for, 1 for a stack that did not come up."""
    try:
        anyio.run(serve, Path(argv[0]), int(argv[1]) if len(argv) > 1 else None)
    except OpsError as error:
        _say(f"{error.code}: {error.message} {error.hint}")
        return 1
    return 0


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
