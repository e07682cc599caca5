"""The drawing in docs/run_lifecycle.md, the domain's transitions and the functions it names are one thing."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

from opscore.domain.run import ENDED, TRANSITIONS, RunState

ROOT = Path(__file__).parents[2]
DRAWING = (ROOT / "docs" / "run_lifecycle.md").read_text()
EDGES = re.findall(r"^  (\w+|\[\*\]) --> (\w+|\[\*\])(?:: (.*))?$", DRAWING, re.MULTILINE)


def test_the_drawing_has_the_domain_s_transitions() -> None:
    drawn: dict[RunState, set[RunState]] = defaultdict(set)
    for before, after, _ in EDGES:
        if "[*]" not in (before, after):
            drawn[RunState(before)].add(RunState(after))

    assert {state: set(after) for state, after in TRANSITIONS.items() if after} == dict(drawn)


def test_every_state_is_in_the_drawing_and_in_the_table() -> None:
    drawn = {state for before, after, _ in EDGES for state in (before, after)} - {"[*]"}

    assert drawn == {state.value for state in RunState}
    assert all(f"| `{state}` |" in DRAWING for state in RunState)
    assert set(RunState) > ENDED


def test_functions_on_the_arrows_exist() -> None:
    migrations = "".join(file.read_text() for file in (ROOT / "supabase" / "migrations").glob("*.sql"))
    named = {word for *_, label in EDGES for word in re.findall(r"\b[a-z]+_[a-z_]+\b", label)}

    assert named
    assert [name for name in sorted(named) if f"create function ops.{name}(" not in migrations] == []
