"""One document in five formats; data on stdout, nothing else."""

from __future__ import annotations

import csv
import io
import json

import pytest
from ruamel.yaml import YAML

from lakehouse.output.formats import Output, View, as_csv
from lakehouse.output.tables import cell

ROWS = [
    {"name": "gold.a", "rows": 12345, "note": None, "nested": {"k": [1]}},
    {"name": "[red]b[/red]", "rows": 7, "note": 'says "x", then\nends'},
]
DOCUMENT = {"items": ROWS, "next": None}
VIEW = View(("name", "rows", "note", "nested.k:deep"), empty="There is no table yet.")


def shown(capsys: pytest.CaptureFixture[str], wanted: str | None, document: dict[str, object] = DOCUMENT) -> str:
    Output(wanted).show(document, VIEW)
    return capsys.readouterr().out


def test_json_is_the_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert json.loads(shown(capsys, "json")) == DOCUMENT


def test_without_a_terminal_json_is_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    assert json.loads(shown(capsys, None)) == DOCUMENT


def test_json_lines_are_the_rows(capsys: pytest.CaptureFixture[str]) -> None:
    assert [json.loads(line) for line in shown(capsys, "jsonl").splitlines()] == ROWS


def test_yaml_is_the_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert YAML(typ="safe", pure=True).load(shown(capsys, "yaml")) == DOCUMENT


def test_csv_has_a_column_for_every_field_and_quotes_what_needs_it(capsys: pytest.CaptureFixture[str]) -> None:
    rows = list(csv.reader(io.StringIO(shown(capsys, "csv"))))

    assert rows == [
        ["name", "rows", "note", "nested"],
        ["gold.a", "12345", "", '{"k": [1]}'],
        ["[red]b[/red]", "7", 'says "x", then\nends', ""],
    ]


def test_a_table_shows_text_as_it_is_and_amounts_with_separators(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, "table")

    assert "12,345" in text
    assert "[red]b[/red]" in text
    assert "deep" in text.splitlines()[0]


def test_an_empty_table_says_the_next_step_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    Output("table").show({"items": []}, VIEW)

    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "There is no table yet.\n")


def test_a_single_object_is_one_row(capsys: pytest.CaptureFixture[str]) -> None:
    Output("jsonl").show({"run": {"id": "x"}}, View(("id",), rows="run"))

    assert json.loads(capsys.readouterr().out) == {"id": "x"}


def test_a_number_that_is_no_json_is_never_printed_as_one() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        Output("json").show({"value": float("nan")}, VIEW)


def test_a_result_set_keeps_columns_of_the_same_name(capsys: pytest.CaptureFixture[str]) -> None:
    Output("csv").grid({}, ["a", "a"], [["1.10", None]])

    assert capsys.readouterr().out == "a,a\n1.10,\n"


def test_csv_of_nothing_is_an_empty_line() -> None:
    assert as_csv([]).strip() == ""


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (True, "yes"),
        (2**60, str(2**60)),
        ("2026-06-30T10:00:00.123+02:00", "2026-06-30 08:00:00Z"),
        ("2026-06-30", "2026-06-30"),
        ("Total of the 3rd quarter", "Total of the 3rd quarter"),
    ],
)
def test_values_read_as_people_say_them(value: object, text: str) -> None:
    assert cell(value).plain == text


def grid(capsys: pytest.CaptureFixture[str], wanted: str, types: list[str], *rows: list[object]) -> str:
    names = [f"c{number}" for number in range(len(types))]
    columns = [{"name": name, "type": kind} for name, kind in zip(names, types, strict=True)]
    Output(wanted).grid({"columns": columns, "rows": list(rows)}, names, rows)
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("exact", "text"),
    [
        ("1500.0000000000", "1500.00"),
        ("-0.1250000000", "-0.125"),
        ("0.0100000001", "0.0100000001"),
        ("7", "7"),
        ("1.5", "1.5"),
        (None, "-"),
    ],
)
def test_a_table_leaves_out_zeros_behind_two_places(
    exact: str | None, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert grid(capsys, "table", ["decimal(38, 10)"], [exact]).splitlines()[1].strip() == text


@pytest.mark.parametrize("wanted", ["json", "csv", "jsonl", "yaml"])
def test_other_formats_keep_every_digit(wanted: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "1500.0000000000" in grid(capsys, wanted, ["decimal(38, 10)"], ["1500.0000000000"])


def test_numbers_stand_to_the_right_and_codes_to_the_left(capsys: pytest.CaptureFixture[str]) -> None:
    types = ["string", "decimal(38, 2)", "long"]

    text = grid(capsys, "table", types, ["101000", "1234.50", "9007199254740993"], ["400", "2.00", 7])

    assert [line.rstrip() for line in text.splitlines()] == [
        "c0           c1                c2",
        "101000  1234.50  9007199254740993",
        "400        2.00                 7",
    ]


def test_a_code_that_looks_like_a_decimal_is_left_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert grid(capsys, "table", ["string"], ["1.1000"]).splitlines()[1].strip() == "1.1000"
