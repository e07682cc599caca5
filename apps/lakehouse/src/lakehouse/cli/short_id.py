"""An id on a command line: whole, or its first characters. Used by every command that takes a run or a backfill."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import click

FEWEST = 8
HEX = re.compile(r"[0-9a-f]*")
HYPHENS = (8, 12, 16, 20)  # where a UUID's hyphens stand, counted in digits


class Id(click.ParamType[str]):
    """Converts to lower case, hyphens in their places; `find_run` or `find_backfill` of the client makes it the id."""

    def __init__(self, kind: str) -> None:
        """kind: of what, as messages name it."""
        self.name = f"{kind} id"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """See click. Refuses what cannot be the beginning of an id."""
        digits = str(value).lower().replace("-", "")
        if not FEWEST <= len(digits) <= 32 or not HEX.fullmatch(digits):
            self.fail(f"{value!r} is no {self.name}, nor its first {FEWEST} characters or more.", param, ctx)
        return hyphened(digits)


def hyphened(digits: str) -> str:
    """Hexadecimal digits as the beginning of a UUID's text."""
    cuts = (0, *(cut for cut in HYPHENS if cut < len(digits)), len(digits))
    return "-".join(digits[start:end] for start, end in pairwise(cuts))


RUN_ID = Id("run")
BACKFILL_ID = Id("backfill")
