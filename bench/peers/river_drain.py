"""River's own benchmark, built from the folder beside this file into a cache the first time.

Usage: python -m bench.peers.river_drain DSN seconds|jobs N. `seconds` is what `river bench` does: jobs are inserted
while others are worked. `jobs` inserts N first and burns them down. Prints jobs per second as River reports them.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SOURCE = Path(__file__).parent / "river"
SUMMARY = re.compile(r"overall job/sec \[\s*([0-9.]+)")


class CannotBuild(RuntimeError):
    """There is no Go, or its modules cannot be had."""


def program() -> Path:
    """The built benchmark. Raises CannotBuild, with the reason."""
    made = _cache() / f"river-{_digest()}"
    if not made.exists():
        _build(made)
    return made


def drain(dsn: str, kind: str, amount: int) -> float:
    """Jobs per second. kind: seconds or jobs."""
    argv = [str(program()), "-database-url", dsn, f"-{kind}", str(amount)]
    output = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=300).stdout
    found = SUMMARY.search(output)
    if found is None:
        raise ValueError(f"River printed no summary: {output[-500:]}")
    return float(found.group(1))


def _build(made: Path) -> None:
    go = shutil.which("go")
    if go is None:
        raise CannotBuild("go is not installed")
    made.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for file in SOURCE.iterdir():
            shutil.copy(file, folder)
        built = Path(folder) / "built"
        done = subprocess.run(
            [go, "build", "-buildvcs=false", "-o", str(built), "."],
            cwd=folder, capture_output=True, text=True, check=False, timeout=600,
        )  # fmt: skip
        if done.returncode:
            raise CannotBuild(f"go build: {done.stderr.strip()[-300:]}")
        shutil.move(built, made)


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lakehouse-bench"


def _digest() -> str:
    """Of the sources: a change builds anew."""
    texts = [file.read_bytes() for file in sorted(SOURCE.iterdir())]
    return hashlib.sha256(b"\0".join(texts)).hexdigest()[:16]


if __name__ == "__main__":
    print(drain(sys.argv[1], sys.argv[2], int(sys.argv[3])))
