"""A spec file with all it names, as one bundle. Called by `pipeline apply`; the control plane stores the result."""

from __future__ import annotations

from pathlib import Path

from opscore.domain.bundle import Bundle, bundled
from opscore.specs.fault import SpecFault
from opscore.specs.named_files import named_files
from opscore.specs.validation import examine_file


def bundle(spec_path: str | Path) -> Bundle:
    """The bundle of a spec file: the same content gives the same digest, wherever it lies and however it is laid out.

    Raises InvalidSpec for the first fault of the spec or of a file it names.
    """
    path = Path(spec_path)
    parsed = examine_file(path)
    files = named_files(parsed, path.parent)
    faults: list[SpecFault] = [*parsed.faults, *files.faults]
    if faults or parsed.spec is None:
        raise faults[0].as_error()
    return bundled(parsed.spec.as_json(), files.texts)
