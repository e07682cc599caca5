"""What a spec says about caps, and what caps ask of a spec."""

from __future__ import annotations

from pathlib import Path

import pytest

from opscore.domain.cap import amounts
from opscore.domain.pipeline import PipelineSpec, writes
from opscore.specs import parse

SOUND = Path(__file__).with_name("orders.yaml").read_text(encoding="utf-8")
EVERY_KIND = """caps:
  - {kind: concurrency, limit: 1, behaviour: cancel_oldest}
  - {kind: runs, limit: 10, window_seconds: 60, max_waiting: 5}
  - {kind: rows, limit: 1000000, window_seconds: 3600, behaviour: reject}
  - {kind: bytes, limit: 1000000000, window_seconds: 3600}
  - {kind: queries, limit: 100, window_seconds: 60}
  - {kind: compute_seconds, limit: 86400, window_seconds: 86400}
  - {kind: cost, limit: "12.50", window_seconds: 86400, behaviour: cancel_newest}
estimate: {rows: 1000, cost: 0.25}
labels: [team:sales, heavy]
prefers: container
"""
SINCE_NOW = ("labels", "prefers", "estimate")


def spec_with(caps: str) -> PipelineSpec:
    line = next(line for line in SOUND.splitlines(keepends=True) if line.startswith("caps:"))
    return parse(SOUND.replace(line, caps), "orders.yaml")


def test_caps_of_every_kind_can_stand_in_a_spec_and_survive_storage() -> None:
    spec = spec_with(EVERY_KIND)

    stored = spec.as_json()

    assert PipelineSpec.model_validate(stored) == spec
    assert stored["caps"][-1] == {
        "kind": "cost",
        "limit": "12.5",
        "window_seconds": 86400,
        "behaviour": "cancel_newest",
    }
    assert (stored["estimate"], stored["labels"], stored["prefers"]) == (
        {"rows": 1000, "cost": "0.25"},
        ["team:sales", "heavy"],
        "container",
    )


def test_a_spec_that_uses_none_of_it_is_stored_as_before() -> None:
    stored = parse(SOUND, "orders.yaml").as_json()

    assert not set(SINCE_NOW) & set(stored)
    assert stored["caps"][0] == {"kind": "concurrency", "limit": 1}


def test_a_pipeline_writes_its_tables_and_all_of_a_namespace_where_they_are_not_named() -> None:
    assert writes(parse(SOUND, "orders.yaml")) == ("bronze.*", "gold.orders")


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ({"rows": "1000", "cost": "0.250"}, {"rows": "1000", "cost": "0.250"}),
        ({"rows": "1e3"}, {"rows": "1000"}),
        ({"rows": "-1"}, None),
        ({"rows": "NaN"}, None),
        ({"rows": "1e18"}, None),
        ({"rows": "many"}, None),
        ({"cpu": "1"}, None),
    ],
)
def test_amounts_are_exact_or_none(texts: dict[str, str], expected: dict[str, str] | None) -> None:
    assert amounts(texts) == expected
