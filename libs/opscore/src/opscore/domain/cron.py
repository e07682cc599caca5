"""What a cron expression may say. Used when a spec is checked; `ticks` computes the moments it names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from opscore.domain.errors import InvalidInput
from opscore.domain.ticks import Rhythm, next_tick

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
LONGEST_MONTH = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
ITEM = re.compile(r"(?P<all>\*)|(?P<first>[a-z0-9]+)(?:-(?P<last>[a-z0-9]+))?")


@dataclass(frozen=True, slots=True)
class Field:
    """One of the five fields. names: words for values, counted from `low`."""

    title: str
    low: int
    high: int
    names: tuple[str, ...] = ()

    def number(self, word: str) -> int | None:
        """The value a word stands for, None when it is out of range."""
        value = self.names.index(word) + self.low if word in self.names else int(word) if word.isdecimal() else -1
        return value if self.low <= value <= self.high else None


FIELDS = (
    Field("minute", 0, 59),
    Field("hour", 0, 23),
    Field("day of month", 1, 31),
    Field("month", 1, 12, MONTHS),
    Field("day of week", 0, 7, DAYS),
)


def cron_fault(text: str) -> str | None:
    """What is wrong with five cron fields, None when nothing is. Ends the sentence "the schedule ..."."""
    words = text.lower().split()
    if len(words) != len(FIELDS):
        return f"has {len(words)} fields instead of 5 (minute, hour, day of month, month, day of week)"
    values: list[set[int]] = []
    for field, word in zip(FIELDS, words, strict=True):
        found = _values(field, word)
        if found is None:
            return f"has `{word}` as {field.title}; allowed are {field.low} to {field.high}, lists, ranges, * and /step"
        values.append(found)
    if words[4] == "*" and not any(LONGEST_MONTH[month - 1] >= min(values[2]) for month in values[3]):
        return f"names a day that never comes: day {words[2]} of month {words[3]}"
    return None if _comes(text) else "names a moment that never comes"


def _comes(text: str) -> bool:
    try:
        return next_tick(Rhythm(text, None), datetime(2000, 1, 1, tzinfo=UTC)) is not None
    except InvalidInput:
        return False


def _values(field: Field, word: str) -> set[int] | None:
    found: set[int] = set()
    for part in word.split(","):
        values = _range(field, part)
        if not values:
            return None
        found.update(values)
    return found


def _range(field: Field, part: str) -> range | None:
    base, slash, step_text = part.partition("/")
    match = ITEM.fullmatch(base)
    if match is None or (slash and not re.fullmatch(r"0*[1-9][0-9]{0,2}", step_text)):
        return None
    step = int(step_text) if slash else 1
    if match["all"]:
        return range(field.low, field.high + 1, step)
    first = field.number(match["first"])
    last = field.number(match["last"]) if match["last"] else field.high if slash else first
    return None if first is None or last is None else range(first, last + 1, step)
