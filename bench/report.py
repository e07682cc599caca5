"""Results: what was measured, against whom, and whether the target was met."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

MET = {True: "yes", False: "NO", None: "-"}
RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Result:
    """value, peer_value: medians of at least three; ratio = ours / peer; met None: no target, or not measured."""

    name: str
    value: float
    unit: str
    target: str
    met: bool | None
    command: str
    peer: str | None = None
    peer_value: float | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """Ours over the peer's, None without a peer."""
        return round(self.value / self.peer_value, 3) if self.peer_value else None


def median(values: Iterable[float]) -> float:
    """Median, rounded to what a noisy machine can tell."""
    return float(f"{statistics.median(values):.4g}")


def percentile(values: list[float], share: float) -> float:
    """Nearest-rank percentile. share in (0, 1]."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * int(share * 1000) // 1000) - 1)]


def write(results: list[Result]) -> Path:
    """Write latest.json and a dated copy; returns the dated one."""
    at = datetime.now(UTC)
    document = {
        "machine": _machine(),
        "commit": _commit(),
        "at": at.isoformat(timespec="seconds"),
        "results": [asdict(result) | {"ratio": result.ratio} for result in results],
    }
    text = json.dumps(document, indent=2) + "\n"
    RESULTS.mkdir(exist_ok=True)
    dated = RESULTS / f"{at:%Y-%m-%dT%H%M%SZ}.json"
    dated.write_text(text)
    (RESULTS / "latest.json").write_text(text)
    return dated


def table(results: list[Result]) -> str:
    """The results as text."""
    rows = [("name", "value", "unit", "peer", "peer value", "ratio", "target", "met")]
    rows += [
        (
            r.name,
            f"{r.value:g}",
            r.unit,
            r.peer or "",
            _text(r.peer_value),
            _text(r.ratio),
            r.target,
            MET[r.met],
        )
        for r in results
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def _machine() -> dict[str, Any]:
    return {
        "cpus": os.cpu_count(),
        "cpu": _cpu_model(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load_1min": round(os.getloadavg()[0], 2),
    }


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def _commit() -> str:
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"
