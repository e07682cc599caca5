"""What a run is given for a pipeline's parameters. Used wherever runs are asked for: CLI, API, schedules."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from difflib import get_close_matches
from typing import Any, assert_never

from opscore.domain.errors import InvalidParameter
from opscore.domain.param import AnyParam, BooleanParam, DateParam, IntegerParam, StringParam
from opscore.domain.pipeline import PipelineSpec

# Every pipeline takes `chain`: whether its publish starts the pipelines that come after it.
CHAIN = "chain"
EVERY_PIPELINE = {CHAIN: BooleanParam(type="boolean", default=True)}


def resolve_params(spec: PipelineSpec, given: Mapping[str, Any], today: date) -> dict[str, Any]:
    """All parameters of a run as JSON values: what is given, else the default, else null.

    given: JSON values or the text of a command line; null counts as not given. today: the day in UTC.
    Raises InvalidParameter naming the parameter and what is allowed.
    """
    known = _known(spec, given)
    return {name: _resolved(spec.name, name, param, given.get(name), today) for name, param in known.items()}


def accept_given(spec: PipelineSpec, given: Mapping[str, Any], today: date) -> dict[str, Any]:
    """The parameters that are given, as JSON values, and no others; see `resolve_params`."""
    known = _known(spec, given)
    return {name: _resolved(spec.name, name, known[name], value, today) for name, value in given.items()}


def _known(spec: PipelineSpec, given: Mapping[str, Any]) -> dict[str, AnyParam]:
    known: dict[str, AnyParam] = {**spec.params, **EVERY_PIPELINE}
    for name in given:
        if name not in known:
            raise _unknown(spec.name, name, sorted(known))
    return known


def _resolved(pipeline: str, name: str, param: AnyParam, value: Any, today: date) -> Any:
    if value is None and param.required:
        raise InvalidParameter(pipeline=pipeline, name=name, fault=f"it is required; give {allowed(param)}")
    wanted = param.default if value is None else value
    if wanted is None:
        return None
    accepted = accept(param, wanted, today)
    if accepted is None:
        raise InvalidParameter(pipeline=pipeline, name=name, fault=f"{_shown(wanted)} is not {allowed(param)}")
    return accepted


def accept(param: AnyParam, value: Any, today: date) -> Any:
    """The value as the parameter's type, None when it cannot be that."""
    match param:
        case StringParam():
            return value if isinstance(value, str) and value in (param.enum or (value,)) else None
        case IntegerParam():
            return _integer(param, value)
        case BooleanParam():
            return value if isinstance(value, bool) else {"true": True, "false": False}.get(str(value).lower())
        case DateParam():
            return _day(value, today)
        case _:
            assert_never(param)


def allowed(param: AnyParam) -> str:
    """What the parameter takes, as the end of "give ..." or "is not ..."."""
    match param:
        case StringParam():
            return "one of " + ", ".join(param.enum) if param.enum else "text"
        case IntegerParam():
            return f"an integer from {param.low} to {param.high}"
        case BooleanParam():
            return "true or false"
        case DateParam():
            return "a date (YYYY-MM-DD) or today"
        case _:
            assert_never(param)


def _integer(param: IntegerParam, value: Any) -> int | None:
    if isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]{1,19}", value):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if param.low <= value <= param.high else None


def _day(value: Any, today: date) -> str | None:
    if value == "today":
        return today.isoformat()
    if not isinstance(value, str) or not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        return None
    try:
        return date.fromisoformat(value).isoformat()
    except ValueError:
        return None


def _unknown(pipeline: str, name: str, known: list[str]) -> InvalidParameter:
    close = get_close_matches(name, known, n=1)
    meant = f"did you mean {close[0]}? " if close else ""
    fault = f"the pipeline has no such parameter; {meant}it has {', '.join(known)}"
    return InvalidParameter(pipeline=pipeline, name=_shown(name), fault=fault)


def _shown(value: Any) -> str:
    text = str(value)
    return f"`{text[:60]}…`" if len(text) > 60 else f"`{text}`"
