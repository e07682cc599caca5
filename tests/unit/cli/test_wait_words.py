"""Why a run waits, in words."""

from __future__ import annotations

from typing import Any

import pytest

from lakehouse.output.wait_words import in_full, span, waits_for

CAP = {
    "why": "cap", "cap": "erp", "used": 2, "limit": 2, "unit": "runs", "needs": 1, "position": 3, "waiting": 7,
    "holders": ["0a1b2c3d-0000-4000-8000-000000000001", "1a1b2c3d-0000-4000-8000-000000000001", "2a1b2c3d-0000-4000-8000-000000000001"],
}  # fmt: skip
NEVER = {"why": "cap", "cap": "c", "used": 0, "limit": 10, "unit": "rows", "needs": 11, "window_seconds": 3600}
AT = "2026-06-30T10:00:00+02:00"


@pytest.mark.parametrize(
    ("reason", "short", "full"),
    [
        (None, "", ""),
        (CAP, "cap erp (2 of 2 in use)", "counted in runs; used by run 0a1b2c3d, 1a1b2c3d and 1 more; place 3 of 7"),
        (
            NEVER,
            "cap c (0 of 10 in use)",
            "it asks for 11 rows, more than the cap ever allows; counted in rows per 1 h",
        ),
        (NEVER | {"frees_at": AT}, "cap c", "the first of it is free again at 2026-06-30 08:00:00Z"),
        ({"cap": "erp", "used": 1, "limit": 1, "unit": "runs"}, "cap erp (1 of 1 in use)", "counted in runs"),
        ({"why": "not_due", "due_at": AT}, "its time, 2026-06-30 08:00:00", ""),
        ({"why": "paused", "by": "ana", "reason": "move"}, "the end of a pause by ana: move", ""),
        ({"why": "no_executor", "requires": ["gpu"]}, "an executor with gpu: none is alive", ""),
        ({"why": "no_executor", "requires": []}, "an executor with free slots: none is alive", ""),
        (
            {"why": "no_executor", "requires": ["gpu"], "alive": 2, "draining": []},
            "an executor with gpu: none of 2 alive offers it",
            "",
        ),
        (
            {"why": "no_executor", "requires": [], "alive": 1, "draining": ["vm-1"]},
            "an executor with free slots: vm-1 is being drained (`lakehouse executor undrain vm-1`)",
            "",
        ),
        ({"why": "slots", "position": 1000}, "a free slot", "a free slot; place 1000 or further"),
    ],
)
def test_a_reason_is_said_briefly_and_in_full(reason: dict[str, Any] | None, short: str, full: str) -> None:
    assert waits_for(reason).startswith(short)
    assert in_full(reason).endswith(full)


@pytest.mark.parametrize(("seconds", "said"), [(86_400, "1 d"), (5400, "90 min"), (7200, "2 h"), (45, "45 s")])
def test_windows_are_said_in_their_largest_unit(seconds: int, said: str) -> None:
    assert span(seconds) == said
