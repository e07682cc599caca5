"""The files a spec names, read from beside it. Called when specs are validated and when they are bundled."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from opscore.domain.transform import SqlTransform
from opscore.specs.document import Unreadable
from opscore.specs.fault import SpecFault
from opscore.specs.parsing import Parsed
from opscore.specs.reading import decode
from opscore.specs.sql import transform_faults

MAX_FILE_BYTES = 262_144


@dataclass(frozen=True, slots=True)
class NamedFiles:
    """Text by path, as the spec writes it, and what is wrong with files."""

    texts: dict[str, str]
    faults: tuple[SpecFault, ...]


def named_files(parsed: Parsed, folder: Path) -> NamedFiles:
    """Read every file the spec names. folder: where the spec lies; nothing outside it is read."""
    texts: dict[str, str] = {}
    faults: list[SpecFault] = []
    for index, transform in enumerate(parsed.spec.transforms if parsed.spec else ()):
        if not isinstance(transform, SqlTransform):
            continue
        line = parsed.document.line(("transforms", index, "file")) if parsed.document else 1
        try:
            texts[transform.file] = _text(folder, transform.file)
        except Unreadable as fault:
            faults.append(SpecFault(parsed.file, line, f"`{transform.file}`: {fault.message}", fault.hint))
            continue
        where = str(Path(parsed.file).parent / transform.file)
        faults += [
            SpecFault(where, fault.line, fault.message, f"Correct the query; {parsed.file} names it in line {line}.")
            for fault in transform_faults(texts[transform.file], parsed.spec.params if parsed.spec else ())
        ]
    return NamedFiles(texts, tuple(faults))


def _text(folder: Path, name: str) -> str:
    try:
        path = (folder / name).resolve(strict=True)
        if not path.is_relative_to(folder.resolve()):
            raise Unreadable(1, "the file lies outside the spec's folder", "Keep what a spec names beside it.")
        if not path.is_file():
            raise Unreadable(1, "this is not a file", "Name a .sql file.")
        if path.stat().st_size > MAX_FILE_BYTES:
            raise Unreadable(1, f"the file has more than {MAX_FILE_BYTES} bytes", "Split the query.")
        return decode(path.read_bytes(), MAX_FILE_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        raise Unreadable(1, "there is no such file", f"Create it as {folder / name}, or correct the path.") from None
    except OSError as error:
        raise Unreadable(1, f"the file cannot be read ({error.strerror})", "Correct its permissions.") from error
