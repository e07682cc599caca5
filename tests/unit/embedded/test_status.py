"""The state file and what people may see of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from lakehouse.embedded.process import Identity
from lakehouse.embedded.status import Database, ServiceStatus, StackStatus, State, Supabase, mask

RUNNING = StackStatus(
    state=State.RUNNING,
    url="http://127.0.0.1:8377",
    services=(ServiceStatus("executor", State.RUNNING, 42, 1.5), ServiceStatus("postgres", State.RUNNING, 43, 1.0, 2)),
    database=Database("15.18", embedded=True, url="postgresql://postgres:geheim@127.0.0.1:5555/lakehouse"),
    supabase=Supabase("http://127.0.0.1:8377", "sb_publishable_x", "sb_secret_x"),
    warehouse="file:///w",
    supervisor=Identity(7, 3.25),
)


def test_the_state_survives_the_file(tmp_path: Path) -> None:
    RUNNING.write(tmp_path)

    assert StackStatus.read(tmp_path) == RUNNING
    assert (tmp_path / "stack.json").stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["stack.json"]


def test_a_home_without_state_is_a_stopped_stack(tmp_path: Path) -> None:
    status = StackStatus.read(tmp_path)

    assert status.state is State.STOPPED
    assert not status.healthy


def test_secrets_are_masked_unless_asked_for() -> None:
    masked, shown = str(RUNNING.as_json()), str(RUNNING.as_json(show_secrets=True))

    for secret in ("geheim", "sb_publishable_x", "sb_secret_x"):
        assert secret not in masked
        assert secret in shown
    assert "postgresql://postgres:***@127.0.0.1:5555/lakehouse" in masked


def test_one_service_that_does_not_run_makes_the_stack_unhealthy() -> None:
    lame = replace(RUNNING, services=(*RUNNING.services, ServiceStatus("scorer", State.STARTING)))

    assert RUNNING.healthy
    assert not lame.healthy
    assert lame.as_json()["services"][2]["state"] == "starting"


def test_a_url_without_password_stays_as_it_is() -> None:
    assert mask("postgresql://user@host/db") == "postgresql://user@host/db"
