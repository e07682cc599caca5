"""A run's id on a command line: whole, or its first characters. Used by every command that takes a run."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import click

FEWEST = 8
HEX = re.compile(r"[0-9a-f]*")
HYPHENS = (8, 12, 16, 20)  # where a UUID's hyphens stand, counted in digits


class RunId(click.ParamType[str]):
    """Converts to lower case, hyphens in their places; `lakehouse.find_run` makes it the id."""

    name = "run id"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """See click. Refuses what cannot be the beginning of an id."""
        digits = str(value).lower().replace("-", "")
        if not FEWEST <= len(digits) <= 32 or not HEX.fullmatch(digits):
            self.fail(f"{value!r} is no run id, nor its first {FEWEST} characters or more.", param, ctx)
        return hyphened(digits)


def hyphened(digits: str) -> str:
    """Hexadecimal digits as the beginning of a UUID's text."""
    cuts = (0, *(cut for cut in HYPHENS if cut < len(digits)), len(digits))
    return "-".join(digits[start:end] for start, end in pairwise(cuts))


RUN_ID = RunId()
