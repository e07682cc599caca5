"""All faults of spec files, of the files they name, and between them.

Called by `pipeline validate` and `make check`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from opscore.specs.document import MAX_BYTES
from opscore.specs.fault import SpecFault
from opscore.specs.named_files import named_files
from opscore.specs.neighbours import faults_between
from opscore.specs.parsing import Parsed, examine

SUFFIXES = frozenset({".yaml", ".yml", ".json"})


def validate_files(paths: Iterable[str | Path], known: Collection[str] = ()) -> list[SpecFault]:
    """Every fault of the specs, file by file, line by line; empty when all are sound.

    paths: spec files, or folders whose specs are meant. Specs that lie beside them count as neighbours: they may be
    named under `after`, but their own faults are not reported. known: pipelines that are applied already.
    """
    expanded = [file for path in paths for file in _expanded(Path(path))]
    given = list({file.resolve(): file for file in reversed(expanded)}.values())[::-1]
    parsed = {file: examine_file(file) for file in given}
    beside = [examine_file(file) for file in _beside(given)]
    faults = [fault for file, one in parsed.items() for fault in (*one.faults, *named_files(one, file.parent).faults)]
    reported = {str(file) for file in given}
    faults += [f for f in faults_between([*beside, *parsed.values()], known) if f.file in reported]
    return sorted(set(faults), key=lambda fault: (fault.file, fault.line, fault.message))


def examine_file(file: Path) -> Parsed:
    """The spec in a file, with all faults its text has. A file that cannot be read is a fault."""
    try:
        with file.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return _unread(file, "there is no such file", "Correct the path.")
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        return _unread(file, f"the file cannot be read ({reason})", "Correct the path or its permissions.")
    return examine(content, str(file))


def _unread(file: Path, message: str, hint: str) -> Parsed:
    return Parsed(str(file), None, None, (SpecFault(str(file), 1, message, hint),))


def _expanded(path: Path) -> Iterator[Path]:
    if path.is_dir():
        yield from sorted(file for file in path.iterdir() if file.suffix in SUFFIXES and file.is_file())
    else:
        yield path


def _beside(files: list[Path]) -> list[Path]:
    """Specs in the folders of the given files that are not given themselves."""
    taken = {file.resolve() for file in files}
    folders = dict.fromkeys(file.parent for file in files if file.parent.is_dir())
    return [file for folder in folders for file in _expanded(folder) if file.resolve() not in taken]
