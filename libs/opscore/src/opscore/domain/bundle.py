"""A pipeline spec with everything it names, addressed by content. Stored by the control plane, pinned by runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Bundle:
    """A pipeline spec with its SQL and Python, content-addressed. files: path inside the bundle -> text."""

    digest: str
    spec: dict[str, Any]
    files: dict[str, str]


def bundle_digest(spec: Mapping[str, Any], files: Mapping[str, str]) -> str:
    """SHA-256 (hex) of the canonical JSON of spec and files: keys sorted, no spaces, UTF-8."""
    content = {"spec": spec, "files": files}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def bundled(spec: dict[str, Any], files: dict[str, str]) -> Bundle:
    """The bundle of a canonical spec and its files."""
    return Bundle(bundle_digest(spec, files), spec, files)
