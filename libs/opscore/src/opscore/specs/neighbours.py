"""Faults between specs: names, what starts what, tables. Called by `validation` with every spec that is in sight."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from difflib import get_close_matches
from typing import Any

from opscore.domain.pipeline_rules import Path
from opscore.domain.transform import SqlTransform
from opscore.specs.fault import SpecFault, quoted
from opscore.specs.parsing import Parsed
from opscore.specs.wording import label


def faults_between(specs: Sequence[Parsed], known: Collection[str]) -> Iterator[SpecFault]:
    """What is wrong among specs. known: pipelines that exist elsewhere.

    Names and `after` are read from the raw values, so that a fault elsewhere in a file does not hide them.
    """
    yield from _one_name_each(specs)
    yield from _known_predecessors(specs, known)
    yield from _no_cycles(specs)
    yield from _one_writer_each(specs)


def name_of(parsed: Parsed) -> str | None:
    """The pipeline's name as it stands in the file."""
    name = _raw(parsed).get("name")
    return name if isinstance(name, str) else None


def _starters(parsed: Parsed) -> Iterator[tuple[Path, str]]:
    """The pipelines that start this one, and where they are named."""
    raw = _raw(parsed)
    places: list[tuple[Path, Any]] = [(("after", i), name) for i, name in enumerate(_list(raw.get("after")))]
    for index, trigger in enumerate(_list(raw.get("triggers"))):
        if isinstance(trigger, dict):
            here: Path = ("triggers", index)
            names = enumerate(_list(trigger.get("pipelines")))
            places += [((*here, "pipelines", i), name) for i, name in names]
            places.append(((*here, "pipeline"), trigger.get("pipeline")))
    yield from ((path, name) for path, name in places if isinstance(name, str))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _raw(parsed: Parsed) -> dict[str, Any]:
    value = parsed.document.value if parsed.document else None
    return value if isinstance(value, dict) else {}


def _at(parsed: Parsed, path: Path, message: str, hint: str) -> SpecFault:
    line = parsed.document.line(path) if parsed.document else 1
    return SpecFault(parsed.file, line, f"{label(path)}: {message}", hint)


def _one_name_each(specs: Sequence[Parsed]) -> Iterator[SpecFault]:
    first: dict[str, Parsed] = {}
    for parsed in specs:
        name = name_of(parsed)
        if name is not None and (other := first.setdefault(name, parsed)) is not parsed:
            message = f"`{quoted(name)}` is already the name of the pipeline in {other.file}"
            yield _at(parsed, ("name",), message, "Rename one of the two.")


def _known_predecessors(specs: Sequence[Parsed], known: Collection[str]) -> Iterator[SpecFault]:
    names = {name for parsed in specs if (name := name_of(parsed)) is not None} | set(known)
    for parsed in specs:
        for path, name in _starters(parsed):
            if name not in names:
                close = get_close_matches(name, names, n=1)
                meant = f"Did you mean `{close[0]}`?" if close else "Add its spec, or correct the name."
                yield _at(parsed, path, f"there is no pipeline `{quoted(name)}`", meant)


def _no_cycles(specs: Sequence[Parsed]) -> Iterator[SpecFault]:
    by_name: dict[str, Parsed] = {}
    for parsed in specs:
        if (name := name_of(parsed)) is not None:
            by_name.setdefault(name, parsed)
    cleared: set[str] = set()
    for start in by_name:
        if start not in cleared and (cycle := _cycle_from(start, by_name)):
            cleared.update(cycle)
            if len(cycle) > 1:  # a pipeline after itself is a fault of its own file
                yield from _cycle_faults(cycle, by_name)


def _cycle_faults(cycle: list[str], by_name: dict[str, Parsed]) -> Iterator[SpecFault]:
    ring = " after ".join([*cycle, cycle[0]])
    for name, previous in zip(cycle, [*cycle[1:], cycle[0]], strict=True):
        path = next(path for path, starter in _starters(by_name[name]) if starter == previous)
        message = f"the pipelines wait for each other in a ring: {quoted(ring)}"
        yield _at(by_name[name], path, message, "Remove one of the ring from `after` or `triggers`.")


def _cycle_from(start: str, by_name: dict[str, Parsed]) -> list[str]:
    """Names from start, each after the next, that lead back to start; empty when none do."""
    trail: list[str] = []
    seen: set[str] = set()
    waiting = [(start, 0)]
    while waiting:
        name, depth = waiting.pop()
        if name == start and depth:
            return trail[:depth]
        if name in seen or name not in by_name:
            continue
        seen.add(name)
        trail[depth:] = [name]
        waiting.extend((starter, depth + 1) for _, starter in _starters(by_name[name]))
    return []


def _one_writer_each(specs: Sequence[Parsed]) -> Iterator[SpecFault]:
    first: dict[str, Parsed] = {}
    for parsed in specs:
        for index, transform in enumerate(parsed.spec.transforms if parsed.spec else ()):
            if isinstance(transform, SqlTransform):
                other = first.setdefault(transform.table, parsed)
                if other is not parsed:
                    message = f"`{transform.table}` is already written by the pipeline in {other.file}"
                    yield _at(
                        parsed, ("transforms", index, "table"), message, "A table has one pipeline that writes it."
                    )
