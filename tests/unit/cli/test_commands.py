"""What the command line understands, without a stack behind it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import click
import pytest

from lakehouse.cli.alert import duration
from lakehouse.cli.base import pairs
from lakehouse.cli.main import NOUNS, run
from lakehouse.cli.matching import match_json
from lakehouse.cli.pipeline import run_pipeline
from lakehouse.client.destination import doubt_about
from lakehouse.client.target import find_stack
from opscore.domain.errors import ControlPlaneUnavailable, InvalidSetting

ROOT = Path(__file__).parents[3]
HEAVY = ("anyio", "asyncpg", "pydantic", "rich", "pyarrow", "numpy", "duckdb", "pyiceberg")


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No stack runs here."""
    monkeypatch.setenv("LAKEHOUSE_HOME", str(tmp_path / "home"))
    for name in ("LAKEHOUSE_DATABASE_URL", "LAKEHOUSE_DIRECT_URL", "LAKEHOUSE_WAREHOUSE", "LAKEHOUSE_ENVIRONMENT"):
        monkeypatch.delenv(name, raising=False)


def test_the_version_is_told_without_importing_anything_heavy() -> None:
    code = f"import sys; from lakehouse.cli.main import run; run(['--version']); print([m for m in {HEAVY!r} if m in sys.modules])"

    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert re.match(r"lakehouse \d+\.\d+\.\d+\n\[\]\n", said)


@pytest.mark.parametrize("noun", list(NOUNS))
def test_every_noun_explains_itself(noun: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([noun, "--help"]) == 0

    assert "Usage: lakehouse" in capsys.readouterr().out


@pytest.mark.parametrize(
    "line",
    [
        ["nonsense"],
        ["run", "nonsense"],
        ["run", "list", "--nonsense"],
        ["run", "list", "--state", "lost"],
        ["run", "show", "no-id"],
        ["run", "list", "-o", "xml"],
        ["pipeline", "run"],
        ["pipeline", "run", "p", "--wait=forever"],
        ["sql", "select 1", "--limit", "0"],
        ["alert", "silence", "--for", "soon", "--reason", "r"],
        ["route", "set", "r", "--channel", "pigeon", "--url", "https://a.example"],
        ["route", "set", "r", "--channel", "webhook", "--url", "ftp://a.example"],
        ["route", "set", "r", "--channel", "webhook", "--url", "https://a.example", "--secret", "whsec_plain"],
    ],
    ids=" ".join,
)
def test_lines_that_cannot_be_meant_are_usage_errors(line: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(line) == 2

    said = capsys.readouterr()
    assert said.out == ""
    assert "Error: " in said.err


def test_with_json_an_error_is_one_json_object_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["run", "list", "-o", "json"]) == 1

    said = capsys.readouterr()
    assert said.out == ""
    error = json.loads(said.err)["error"]
    assert error["code"] == "CONTROL_PLANE_UNAVAILABLE"
    assert "lakehouse up" in error["hint"]


@pytest.mark.parametrize("spelling", [["-o", "json"], ["-ojson"], ["--output", "json"], ["--output=json"]])
def test_usage_errors_are_json_however_it_was_asked_for(
    spelling: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*spelling, "nonsense"]) == 2

    assert json.loads(capsys.readouterr().err)["error"]["code"] == "INVALID_INPUT"


def test_the_format_may_stand_before_or_after_the_verb(capsys: pytest.CaptureFixture[str]) -> None:
    spec = str(ROOT / "pipelines" / "bronze_to_silver.yaml")
    lines = (
        ["-o", "yaml", "pipeline", "validate", spec],
        ["pipeline", "-o", "yaml", "validate", spec],
        ["pipeline", "validate", spec, "-o", "yaml"],
    )

    answers = []
    for line in lines:
        assert run(line) == 0
        answers.append(capsys.readouterr().out)

    assert answers == ["valid: true\nerrors: []\n"] * 3


def test_a_faulty_spec_is_named_with_file_line_and_hint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = tmp_path / "p.yaml"
    spec.write_text("version: 1\nname: p\ncolour: red\n")

    assert run(["pipeline", "validate", str(spec), "-o", "json"]) == 2

    verdict = json.loads(capsys.readouterr().out)
    assert verdict["valid"] is False
    assert {"file", "line", "message", "hint"} == set(verdict["errors"][0])
    assert any(error["line"] == 3 and "colour" in error["message"] for error in verdict["errors"])


def test_without_a_control_plane_an_unknown_predecessor_is_a_fault_that_says_nobody_could_look(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = tmp_path / "p.yaml"
    spec.write_text((ROOT / "pipelines" / "silver_to_gold.yaml").read_text().replace("after: [", "after: [elsewhere, "))

    assert run(["pipeline", "validate", str(spec), "-o", "json"]) == 2

    faults = json.loads(capsys.readouterr().out)["errors"]
    [fault] = [fault for fault in faults if "`elsewhere`" in fault["message"]]
    assert "there is no pipeline `elsewhere` in these folders" in fault["message"]
    assert "not the control plane: No stack runs on" in fault["hint"]


def test_quiet_says_nothing_about_valid_specs(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["pipeline", "validate", str(ROOT / "pipelines"), "--quiet"]) == 0

    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("words", "wait"),
    [
        (["p"], None),
        (["--wait", "p"], "run"),
        (["p", "--wait", "--timeout", "5"], "run"),
        (["p", "--wait=chain"], "chain"),
    ],
)
def test_wait_takes_a_value_only_behind_an_equals_sign(words: list[str], wait: str | None) -> None:
    context = run_pipeline.make_context("run", list(words))

    assert (context.params["name"], context.params["wait"]) == ("p", wait)


def test_without_a_stack_the_next_step_is_named(tmp_path: Path) -> None:
    with pytest.raises(ControlPlaneUnavailable, match="No stack runs on") as caught:
        find_stack({"LAKEHOUSE_HOME": str(tmp_path)})

    assert "lakehouse up --detach" in caught.value.hint


def test_a_database_url_names_the_stack() -> None:
    url, direct = "postgresql://u:p@pool:6543/l", "postgresql://u:p@db:5432/l"

    target = find_stack({"LAKEHOUSE_DATABASE_URL": url, "LAKEHOUSE_DIRECT_URL": direct})

    assert (target.dsn, target.listen_dsn, target.owner_dsn) == (url, direct, direct)
    assert "p@" not in repr(target)


@pytest.mark.parametrize(
    ("name", "value"), [("LAKEHOUSE_DATABASE_URL", "mysql://x"), ("LAKEHOUSE_ENVIRONMENT", "prod")]
)
def test_settings_that_do_not_parse_are_named(name: str, value: str) -> None:
    with pytest.raises(InvalidSetting, match=name):
        find_stack({"LAKEHOUSE_DATABASE_URL": "postgresql://u:p@db/l", name: value})


def test_parameters_are_pairs_and_the_value_may_hold_an_equals_sign() -> None:
    assert pairs(["a=1", "b=x=y", "c="], "--param") == {"a": "1", "b": "x=y", "c": ""}


@pytest.mark.parametrize("word", ["a", "=1", ""])
def test_words_that_are_no_pairs_are_refused(word: str) -> None:
    with pytest.raises(click.BadParameter):
        pairs([word], "--param")


def test_matches_are_what_the_routing_matrix_keeps() -> None:
    assert match_json(["severity=error, critical", "pipeline=odoo_*"]) == {
        "severity": ["error", "critical"],
        "pipeline": "odoo_*",
    }


@pytest.mark.parametrize("match", ["severity=bad", "colour=red", "rule="])
def test_matches_that_would_match_nothing_are_refused(match: str) -> None:
    with pytest.raises(click.BadParameter):
        match_json([match])


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("30m", 1800), ("2h", 7200), ("1d", 86400)])
def test_lengths_of_time_are_short_words(text: str, seconds: int) -> None:
    assert duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["0m", "2", "h", "2 h", "-1h", "1w", ""])
def test_other_lengths_of_time_are_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        duration(text)


async def test_a_stack_of_ones_own_may_notify_this_machine_and_no_other() -> None:
    local, private = "http://127.0.0.1:9000/", "http://10.1.2.3/"

    assert await doubt_about(local, {}) is None
    assert await doubt_about(private, {}) is not None
    assert await doubt_about(local, {"LAKEHOUSE_DATABASE_URL": "postgresql://u@h/d"}) is not None


def test_an_address_of_no_known_kind_is_refused_with_those_that_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["route", "set", "r", "--channel", "webhook", "--url", "ftp://a.example"]) == 2

    assert "https:// or http://" in capsys.readouterr().err
