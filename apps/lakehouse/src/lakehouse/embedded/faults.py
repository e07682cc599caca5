"""Errors that come back from our own processes as JSON. Called by whoever started the process."""

from __future__ import annotations

from collections.abc import Mapping

from opscore.domain.errors import OpsError, Unexpected


def as_fault(error: BaseException) -> dict[str, str]:
    """code, message and hint of any error; what is not the house's own is Unexpected."""
    known = error if isinstance(error, OpsError) else Unexpected(f"{type(error).__name__}: {error}")
    return known.as_json()


def from_fault(fault: Mapping[str, str]) -> OpsError:
    """The error again, of the class that owns its code."""
    kinds = {kind.code: kind for kind in _kinds(OpsError) if "code" in vars(kind)}
    return kinds.get(fault["code"], Unexpected)(fault["message"], hint=fault["hint"])


def _kinds(root: type[OpsError]) -> list[type[OpsError]]:
    """Every class below root."""
    return [kind for child in root.__subclasses__() for kind in (child, *_kinds(child))]
