"""Files that are hostile, damaged or no spec at all end in faults with lines, never in a traceback."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from opscore.specs import parse, validate_files
from opscore.specs.parsing import Parsed, examine
from opscore.specs.reading import read
from opscore.specs.schema import pipeline_schema

SOUND = Path(__file__).with_name("orders.yaml").read_text(encoding="utf-8")
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "the file is empty"),
        ("# nothing but a comment\n", "the file is empty"),
        ("---\n...\n", "the file is empty"),
        ("null\n", "the file is empty"),
        ("- a\n- b\n", "a spec must be a mapping, not a list"),
        ("hello\n", "a spec must be a mapping, not `hello`"),
        ("42\n", "a spec must be a mapping, not the number 42"),
    ],
)
def test_a_file_that_is_no_mapping_is_refused(text: str, says: str) -> None:
    (fault,) = examine(text, "a.yaml").faults

    assert (fault.line, says in fault.message) == (1, True), fault


@pytest.mark.parametrize(
    ("content", "line", "says"),
    [
        (b"version: 1\nname: caf\xe9\n", 2, "the file is not UTF-8 (byte 0xe9)"),
        ("version: 1\n".encode("utf-16"), 1, "the file is not UTF-8"),
        (b"a: " + b"x" * 70_000, 1, "more than 65536 bytes"),
        (BOMB.encode(), 4, "more than 5000 values"),
        (b"a: [" + b"x, " * 6000 + b"]", 1, "more than 5000 values"),
        (b"a: " + b"[" * 60_000, 1, "nested deeper than 20 levels"),
        (b"[a, " * 10_000, 1, "nested deeper than 20 levels"),
        (b"{a: " * 10_000, 1, "nested deeper than 20 levels"),
        (b"- " * 10_000, 1, "nested deeper than 20 levels"),
        (b"? " * 10_000, 1, "a key must be plain text"),
        (b"*" * 60_000, 1, "has no anchor before it"),
        (b'"' + b"\\" * 60_000, 1, "the file is not YAML"),
    ],
)
def test_hostile_files_are_refused_quickly(content: bytes, line: int, says: str) -> None:
    began = time.process_time()

    faults = examine(content, "a.yaml").faults

    assert time.process_time() - began < 0.5  # a tenth of it on a quiet machine
    assert any(fault.line == line and says in fault.message for fault in faults), faults


def test_a_byte_order_mark_and_windows_newlines_are_no_fault() -> None:
    content = b"\xef\xbb\xbf" + SOUND.replace("\n", "\r\n").encode()

    assert examine(content, "orders.yaml").spec == parse(SOUND, "orders.yaml")


def test_aliases_stand_for_what_they_name() -> None:
    text = SOUND.replace("exclude: [ir", "include: &some [sale_order]\n    exclude: *some # [ir")

    source = parse(text, "orders.yaml").odoo

    assert source is not None
    assert source.exclude == source.include == ("sale_order",)


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("", 1, "the file is empty"),
        ('{\n"name": "a",\n"name": "b"}', 3, "the key `name` stands twice, first in line 2"),
        ('{\n"name": "a",\n}', 3, "a key in double quotes is expected here"),
        ('{"name":\n}', 2, "the file is not JSON"),
        ('{"name" "a"}', 1, "`:` is expected here"),
        ('{"a": 1}\n{}', 2, "text after the end of the spec"),
        ("[1,\n2", 2, "`,` is expected here"),
        ('{"a": NaN}', 1, "NaN is not a number"),
        ('{"a": 1e999999}', 1, "more than 40 digits"),
        ('{"a":\n' + "9" * 5000 + "}", 2, "more than 40 digits"),
        ('{"a": "\\ud800"}', 1, "U+D800"),
        ("[" * 50_000, 1, "nested deeper than 20 levels"),
        ('{"name":\n"a\tb"}', 2, "the file is not JSON: invalid control character"),
    ],
)
def test_faulty_json_is_refused_with_its_line(text: str, line: int, says: str) -> None:
    faults = examine(text, "a.json").faults

    assert any(fault.line == line and says in fault.message for fault in faults), faults


def test_json_and_yaml_give_the_same_spec() -> None:
    document, _ = read(SOUND, "orders.yaml")
    assert document is not None
    text = json.dumps(document.value, indent="\t", default=float)

    assert parse(text, "orders.json") == parse(SOUND, "orders.yaml")


def sound_or_faulty(parsed: Parsed) -> bool:
    return bool(parsed.faults) or parsed.spec is not None


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
yamlish = st.lists(
    st.sampled_from([*"[]{}:,-?&*!|>'\"%@`#\t\n ab1.~=<\\", ": ", "- ", "\n  ", "--- ", "&a ", "*a ", "!!str ", "<<: ", "%YAML 1.1\n", "\u2028", "\x85"]),
    max_size=60,
).map("".join)  # fmt: skip


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(max_size=200) | yamlish | st.binary(max_size=100))
@example("%YAML 9.9\n---\na: b")
@example("%TAG ! tag:x,2000:\n---\na: b")
@example("%YAML 1.1\n---\na: yes")
@example("a: !<>\n")
@example("\ufeffa: b")
def test_any_text_gives_a_spec_or_faults(content: str | bytes) -> None:
    for file in ("a.yaml", "a.json"):
        assert sound_or_faulty(examine(content, file))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(sorted(pipeline_schema()["properties"])), anything)
def test_any_value_at_any_key_gives_a_spec_or_faults(key: str, value: object) -> None:
    document, _ = read(SOUND, "orders.yaml")
    assert document is not None
    text = json.dumps({**document.value, key: value}, default=float)

    parsed = examine(text, "a.json")

    assert sound_or_faulty(parsed)
    assert all(fault.line >= 1 and fault.message and fault.hint for fault in parsed.faults)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(SOUND) - 1), st.integers(1, 30), st.sampled_from(["", "\n", " ", "- ", ": ", "[", "x", "0"]))
def test_a_damaged_spec_gives_a_spec_or_faults(at: int, length: int, instead: str) -> None:
    assert sound_or_faulty(examine(SOUND[:at] + instead + SOUND[at + length :], "a.yaml"))


def test_no_fault_is_a_traceback_for_a_missing_folder(tmp_path: Path) -> None:
    (fault,) = validate_files([tmp_path / "nowhere" / "a.yaml"])

    assert fault.message == "there is no such file"
