"""Bytes or text of a spec file to a document. Called by `parsing`; every fault has a line."""

from __future__ import annotations

from opscore.specs.document import MAX_BYTES, Builder, Document, Unreadable, document_of
from opscore.specs.fault import SpecFault
from opscore.specs.json_reader import read_json
from opscore.specs.yaml_reader import read_yaml


def read(content: str | bytes, file: str) -> tuple[Document | None, list[SpecFault]]:
    """The file's document, None when it cannot be read, and all faults found on the way."""
    builder = Builder(file)
    try:
        text = decode(content)
        root = read_json(text, builder) if file.endswith(".json") else read_yaml(text, builder)
    except Unreadable as fault:
        builder.fault(fault.line, fault.message, fault.hint)
        return None, builder.faults
    if root is None:
        builder.fault(1, "the file is empty", "Write a spec; docs/reference/pipeline_spec.md shows one.")
        return None, builder.faults
    return document_of(root), builder.faults


def decode(content: str | bytes, limit: int = MAX_BYTES) -> str:
    """UTF-8 text with plain newlines and without a byte order mark. Raises Unreadable."""
    raw = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    if len(raw) > limit:
        raise Unreadable(1, f"the file has more than {limit} bytes", "Split it.")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise Unreadable(line, f"the file is not UTF-8 (byte 0x{raw[error.start]:02x})", "Save it as UTF-8.") from error
    return text.replace("\r\n", "\n").replace("\r", "\n")
