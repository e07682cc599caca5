"""Organisations, projects, environments and who belongs to them: as the control room makes them and as people do."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from support.plane import ENVIRONMENT, Plane

OTHER_QUERY = {"spec": {"version": 1, "name": "mine", "phases": ["query"]}, "files": {}, "phases": ["query"]}


@dataclass(frozen=True)
class Place:
    """An organisation with a project and its environment."""

    organization: uuid.UUID
    project: uuid.UUID
    environment: uuid.UUID


async def place(plane: Plane, slug: str = "acme", organization: uuid.UUID | None = None) -> Place:
    org = organization or await plane.db.fetchval("select ops.create_organization($1)", slug)
    project = await plane.db.fetchval("select ops.create_project($1, $2)", org, slug)
    return Place(org, project, await plane.db.fetchval("select ops.create_environment($1, 'production')", project))


async def member(plane: Plane, at: Place, role: str, *, whole: bool = False, until: Any = None) -> uuid.UUID:
    user = uuid.uuid4()
    if whole:
        await plane.db.execute(
            "select ops.set_organization_member($1, $2, $3, $4, 'test')", at.organization, user, role, until
        )
    else:
        await plane.db.execute("select ops.set_member($1, $2, $3, $4, 'test')", at.project, user, role, until)
    return user


async def asks(plane: Plane, user: uuid.UUID | str | None, sql: str, *args: Any) -> Any:
    """What a person gets for one statement, through the role and the claims that their token gives them."""
    async with plane.db.transaction():
        await plane.db.execute("set local role authenticated")
        claims = "{}" if user is None else f'{{"sub": "{user}"}}'
        await plane.db.execute("select set_config('request.jwt.claims', $1, true)", claims)
        return await plane.db.fetchval(sql, *args)


def refused(code: str) -> Any:
    return pytest.raises(asyncpg.PostgresError, check=lambda error: getattr(error, "detail", None) == code)


async def test_an_environment_starts_with_what_the_first_one_had(plane: Plane) -> None:
    made = await place(plane)

    for what, of in (
        ("array_agg(name order by name)", "ops.pipelines"),
        ("array_agg((name, event_types, condition, severity, summary)::text order by name)", "ops.alert_rules"),
        ("array_agg(distinct signal order by signal)", "ops.signal_weights"),
    ):
        query = f"select {what} from {of} where environment_id = $1"
        assert await plane.db.fetchval(query, made.environment) == await plane.db.fetchval(query, ENVIRONMENT)


async def test_a_statement_can_run_in_a_new_environment(plane: Plane) -> None:
    made = await place(plane)
    run = await plane.enqueue(environment_id=str(made.environment))

    (work,) = await plane.claim(await plane.executor())

    assert work.run_id == run


@pytest.mark.parametrize("slug", ["", "Acme", "-acme", "a" * 64, "a b", None])
async def test_a_name_that_is_none_is_refused(plane: Plane, slug: str | None) -> None:
    with refused("INVALID_INPUT"):
        await plane.db.execute("select ops.create_organization($1)", slug)


async def test_a_name_is_given_once(plane: Plane) -> None:
    made = await place(plane)

    with refused("CONFLICT"):
        await plane.db.execute("select ops.create_organization('acme')")
    with refused("CONFLICT"):
        await plane.db.execute("select ops.create_project($1, 'acme')", made.organization)
    with refused("CONFLICT"):
        await plane.db.execute("select ops.create_environment($1, 'production')", made.project)


async def test_what_is_not_there_cannot_be_built_on(plane: Plane) -> None:
    nowhere = uuid.uuid4()

    for call in ("create_project($1, 'x')", "create_environment($1, 'x')", "set_member($1, $1, 'viewer', null, 'x')"):
        with refused("NOT_FOUND"):
            await plane.db.execute(f"select ops.{call}", nowhere)


async def test_a_membership_ends_by_itself(plane: Plane) -> None:
    made = await place(plane)
    await plane.enqueue(environment_id=str(made.environment))
    ends = await plane.db.fetchval("select ops.now() + interval '1 hour'")
    guest = await member(plane, made, "viewer", until=ends)
    before = await asks(plane, guest, "select count(*) from api.runs")

    await plane.pass_time(timedelta(hours=1))

    assert (before, await asks(plane, guest, "select count(*) from api.runs")) == (1, 0)


async def test_a_membership_that_has_ended_already_is_refused(plane: Plane) -> None:
    made = await place(plane)
    ended = await plane.db.fetchval("select ops.now()")

    with refused("INVALID_INPUT"):
        await member(plane, made, "viewer", until=ended)


async def test_a_role_that_is_none_is_refused(plane: Plane) -> None:
    made = await place(plane)

    with refused("INVALID_INPUT"):
        await member(plane, made, "owner")


async def test_a_removed_member_sees_nothing(plane: Plane) -> None:
    made = await place(plane)
    await plane.enqueue(environment_id=str(made.environment))
    user = await member(plane, made, "viewer")

    assert await plane.db.fetchval("select ops.remove_member($1, $2)", made.project, user)
    assert not await plane.db.fetchval("select ops.remove_member($1, $2)", made.project, user)
    assert await asks(plane, user, "select count(*) from api.runs") == 0


async def test_an_organisation_keeps_an_admin(plane: Plane) -> None:
    made = await place(plane)
    first = await member(plane, made, "admin", whole=True)

    with refused("CONFLICT"):
        await plane.db.execute("select ops.remove_organization_member($1, $2)", made.organization, first)
    with refused("CONFLICT"):
        await plane.db.execute(
            "select ops.set_organization_member($1, $2, 'viewer', null, 'x')", made.organization, first
        )

    await member(plane, made, "admin", whole=True)
    assert await plane.db.fetchval("select ops.remove_organization_member($1, $2)", made.organization, first)


async def test_whoever_acts_stands_in_what_was_done(plane: Plane) -> None:
    made = await place(plane)
    run = await plane.enqueue(environment_id=str(made.environment))
    operator = await member(plane, made, "operator")

    assert await asks(plane, operator, "select api.cancel_run($1, 'wrong day')", run) == "canceled"

    assert (await plane.run(run))["cancel_requested_by"] == str(operator)


async def test_a_refusal_says_which_role_would_do(plane: Plane) -> None:
    made = await place(plane)
    viewer = await member(plane, made, "viewer")

    with pytest.raises(asyncpg.PostgresError, match="admin or engineer or operator or service here; you are viewer"):
        await asks(plane, viewer, "select api.enqueue_run($1, 'query')", made.environment)


async def test_an_engineer_of_a_project_cannot_cap_its_organisation(plane: Plane) -> None:
    made = await place(plane)
    sibling = await place(plane, "other", made.organization)
    cap = {"name": "all", "kind": "concurrency", "scope": "organization", "limit": 0}
    engineer = await member(plane, made, "engineer")
    above = await member(plane, made, "engineer", whole=True)

    with refused("NOT_ALLOWED"):
        await asks(plane, engineer, "select api.set_cap($1, $2)", made.environment, cap)

    assert await asks(plane, above, "select api.set_cap($1, $2)", made.environment, cap)
    for call in ("set_cap($1, $2)", "raise_cap($1, 'all', 5, interval '1 hour', 'rush')", "remove_cap($1, 'all')"):
        args = (cap | {"scope": "environment"},) if "$2" in call else ()
        with refused("NOT_ALLOWED"):
            await asks(plane, engineer, f"select api.{call}", made.environment, *args)
    assert await asks(plane, above, "select api.remove_cap($1, 'all')", made.environment)
    assert sibling.organization == made.organization


async def test_caps_of_executors_are_nobody_s(plane: Plane) -> None:
    made = await place(plane)
    admin = await member(plane, made, "admin", whole=True)
    cap = {"name": "e", "kind": "concurrency", "scope": "executor", "subject": "e1", "limit": 0}

    with refused("NOT_ALLOWED"):
        await asks(plane, admin, "select api.set_cap($1, $2)", made.environment, cap)


async def test_code_is_addressed_by_what_it_is_whatever_its_sender_claims(plane: Plane) -> None:
    made = await place(plane)
    theirs = await place(plane, "rival")
    rival = await member(plane, theirs, "engineer")
    engineer = await member(plane, made, "engineer")
    claimed = OTHER_QUERY | {"digest": "a" * 64}
    apply = "select bundle_digest from api.apply_pipeline($1, $2)"

    planted = await asks(plane, rival, apply, theirs.environment, claimed | {"files": {"run.py": "evil"}})
    own = await asks(plane, engineer, apply, made.environment, claimed)

    assert "a" * 64 not in {planted, own}
    assert await plane.db.fetchval("select files from ops.bundles where digest = $1", own) == {}


@pytest.mark.parametrize("sub", ["", "not-a-uuid", "1", "' or true --", "{}", None])
async def test_a_token_without_a_person_sees_nothing(plane: Plane, sub: str | None) -> None:
    await plane.enqueue()

    assert await asks(plane, sub, "select count(*) from api.runs") == 0


async def test_what_users_say_about_themselves_gives_no_role(plane: Plane) -> None:
    await plane.enqueue()
    claims = f'{{"sub": "{uuid.uuid4()}", "role": "admin", "user_metadata": {{"role": "admin", "project": "default"}}}}'

    async with plane.db.transaction():
        await plane.db.execute("set local role authenticated")
        await plane.db.execute("select set_config('request.jwt.claims', $1, true)", claims)
        seen = await plane.db.fetchval("select count(*) from api.runs")

    assert seen == 0


async def test_the_control_room_is_told_why_any_run_waits(plane: Plane) -> None:
    run = await plane.enqueue()

    async with plane.db.transaction():
        await plane.db.execute("set local role lakehouse_controlroom")
        reason = await plane.db.fetchval("select ops.wait_reason($1)", run)

    assert reason["why"] == "no_executor"


async def test_the_docs_say_what_each_role_may_do(plane: Plane) -> None:
    page = (Path(__file__).parents[3] / "docs" / "tenancy.md").read_text(encoding="utf-8")
    head, *rows = [
        [cell.strip(" `") for cell in line.strip("|").split("|")]
        for line in page.splitlines()
        if line.startswith(("| Role |", "| `"))
    ]
    written = {
        (row[0], permission) for row in rows for permission, cell in zip(head, row, strict=True) if cell == "yes"
    }

    granted = {(row["role"], row["permission"]) for row in await plane.db.fetch("select * from ops.role_permissions")}

    assert written == granted
