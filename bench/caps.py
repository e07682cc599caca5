"""What caps cost: the same drain with a cap of each counting kind in force, beside one without any."""

from __future__ import annotations

from bench.lifecycle import drain
from bench.report import Result, median
from lakehouse.embedded.throwaway import ThrowawayPostgres

COMMAND = "python -m bench caps"
TARGET = 0.2
ROUNDS = 3
CAPS: tuple[dict[str, object], ...] = (
    {"name": "at-once", "kind": "concurrency", "scope": "environment", "limit": 1_000_000},
    {"name": "each-hour", "kind": "runs", "scope": "pipeline", "subject": "query", "limit": 100_000_000,
     "window_seconds": 3600},
)  # fmt: skip


async def measure(postgres: ThrowawayPostgres, *, full: bool = False) -> list[Result]:
    """With and without in turn, three times each."""
    runs = 100_000 if full else 20_000
    free: list[float] = []
    capped: list[float] = []
    for _ in range(ROUNDS):
        free.append(await drain(postgres, runs))
        capped.append(await drain(postgres, runs, CAPS))
    cost = round(1 - median(capped) / median(free), 3)
    note = f"a concurrency and a runs cap, neither full: {median(capped):g} runs/s, without {median(free):g}"
    return [Result("caps_cost", cost, "fraction", f"<= {TARGET}", cost <= TARGET, COMMAND, note=note)]
