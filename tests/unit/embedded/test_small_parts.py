"""Files, faults, credentials, processes and restart delays."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lakehouse.embedded import files
from lakehouse.embedded.credentials import Credentials
from lakehouse.embedded.faults import as_fault, from_fault
from lakehouse.embedded.lock import is_held, only_supervisor
from lakehouse.embedded.postmaster import Postmaster
from lakehouse.embedded.process import Identity
from lakehouse.embedded.service import LONGEST_DELAY_SECONDS, restart_delay
from opscore.domain.errors import Conflict, InvalidSetting, Unexpected


def test_a_secret_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    made = Credentials(tmp_path).ensure("secret", "sb_secret_")

    assert made.startswith("sb_secret_")
    assert len(made) == len("sb_secret_") + 43
    assert Credentials(tmp_path).ensure("secret") == made
    assert Credentials(tmp_path).get("other") is None
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600


def test_a_torn_file_reads_as_empty(tmp_path: Path) -> None:
    (tmp_path / "torn.json").write_text('{"a": ', encoding="utf-8")

    assert files.read_json(tmp_path / "torn.json") == {}


def test_a_long_log_is_set_aside_and_a_short_one_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "LOG_LIMIT_BYTES", 10)
    for line in (b"short\n", b"long enough\n", b"new\n"):
        with files.open_log(tmp_path, "executor") as log:
            log.write(line)

    assert files.tail(files.log_path(tmp_path, "executor")) == ["new"]
    assert (tmp_path / "logs" / "executor.log.1").read_text(encoding="utf-8") == "short\nlong enough\n"


def test_an_error_comes_back_from_its_json_as_what_it_was() -> None:
    fault = as_fault(InvalidSetting(name="X", fault="it is odd", example="even"))

    error = from_fault(fault)

    assert type(error) is InvalidSetting
    assert error.message == "X is not usable: it is odd. Example: even."


def test_an_error_that_is_not_ours_comes_back_as_unexpected() -> None:
    error = from_fault(as_fault(ZeroDivisionError("by zero")))

    assert type(error) is Unexpected
    assert "by zero" in error.message


def test_a_pid_with_another_start_time_is_another_process() -> None:
    ourselves = Identity.of(os.getpid())

    assert ourselves is not None
    assert ourselves.alive()
    assert not Identity(ourselves.pid, ourselves.started - 60).alive()


def test_a_home_has_one_supervisor_at_a_time(tmp_path: Path) -> None:
    with only_supervisor(tmp_path), pytest.raises(Conflict, match="runs on"), only_supervisor(tmp_path):
        pass

    assert not is_held(tmp_path)
    with only_supervisor(tmp_path):
        assert is_held(tmp_path)


@pytest.mark.parametrize("text", ["", "17\n", "17\n/data\n1\n", "x\n/data\n1\n5432\n"])
def test_a_lock_file_that_says_too_little_says_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "postmaster.pid").write_text(text, encoding="utf-8")

    assert Postmaster.read(tmp_path) is None


def test_restarts_wait_longer_from_death_to_death_up_to_a_limit() -> None:
    delays = [restart_delay(deaths) for deaths in range(12)]

    assert delays == sorted(delays)
    assert delays[0] < 0.1
    assert delays[-1] == LONGEST_DELAY_SECONDS
