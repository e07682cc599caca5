"""Where statements put what does not fit into memory: one folder per process, swept when its process is gone.

A worker that is killed cannot clean up, so every new engine removes the folders of dead processes first.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path


def spill_directory() -> Path:
    """This process's own folder, made if needed; folders of processes that ended are removed."""
    root = Path(tempfile.gettempdir()) / f"lakehouse-spill-{os.getuid()}"
    root.mkdir(mode=0o700, exist_ok=True)
    for folder in root.iterdir():
        if folder.name.isdecimal() and not _alive(int(folder.name)):
            shutil.rmtree(folder, ignore_errors=True)
    own = root / str(os.getpid())
    own.mkdir(exist_ok=True)
    return own


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
