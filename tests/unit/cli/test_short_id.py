"""What may stand for a run or a backfill on a command line."""

from __future__ import annotations

import click
import pytest

from lakehouse.cli.short_id import RUN_ID

WHOLE = "0a1b2c3d-4e5f-4000-8000-00000000abcd"


@pytest.mark.parametrize(
    ("word", "beginning"),
    [
        (WHOLE, WHOLE),
        (WHOLE.upper(), WHOLE),
        (WHOLE.replace("-", ""), WHOLE),
        ("0a1b2c3d", "0a1b2c3d"),
        ("0a1b2c3d-", "0a1b2c3d"),
        ("0A1B2C3D4e5f4", "0a1b2c3d-4e5f-4"),
    ],
)
def test_a_run_is_named_by_its_id_or_its_beginning(word: str, beginning: str) -> None:
    assert RUN_ID.convert(word, None, None) == beginning


@pytest.mark.parametrize("word", ["", "0a1b2c3", "no-id-at-all", f"{WHOLE}0", "0a1b2c3g", "--------"])
def test_what_begins_no_id_is_refused(word: str) -> None:
    with pytest.raises(click.BadParameter, match="is no run id"):
        RUN_ID.convert(word, None, None)
