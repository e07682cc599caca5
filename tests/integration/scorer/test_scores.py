"""Weights in versions, what other weights would say, verification, and learning, through the command line."""

from __future__ import annotations

import asyncio
import json
import random
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from lakehouse.cli.main import run as run_line
from lakehouse.embedded.throwaway import ThrowawayPostgres
from lakehouse_scorer.follow import Following
from lakehouse_scorer.learning.turns import in_a_child, learn_once
from opscore.db.pool import open_database
from opscore.db.scorer_rpc import ScorerRpc
from opscore.runtime.clock import SystemClock
from support.plane import ENVIRONMENT, Plane
from support.seen import Seen


class Cli:
    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.said = ""

    async def __call__(self, *words: str) -> tuple[int, str]:
        code = await asyncio.to_thread(run_line, list(words))
        out, self.said = self._capsys.readouterr()
        return code, out

    async def json(self, *words: str) -> dict[str, Any]:
        code, out = await self(*words, "-o", "json")
        assert code == 0, self.said
        return json.loads(out)


@pytest.fixture
def cli(plane: Plane, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Any) -> Cli:
    monkeypatch.setenv("LAKEHOUSE_DATABASE_URL", plane.dsn)
    monkeypatch.setenv("LAKEHOUSE_WAREHOUSE", f"file://{tmp_path}")
    return Cli(capsys)


async def judge(postgres: ThrowawayPostgres, plane: Plane) -> None:
    """Score whatever ended, as the scorer's own role."""
    dsn = postgres.dsn(urlsplit(plane.dsn).path.removeprefix("/"), role="lakehouse_scorer")
    async with open_database(dsn, application="tests") as database:
        following = Following(ScorerRpc(database), Seen(), SystemClock())
        while await following.step():
            pass


async def ended(plane: Plane, outcome: str = "succeeded", pipeline: str = "books") -> Any:
    await plane.pipeline(pipeline)
    work = await plane.work(pipeline)
    await plane.finish(work, outcome, error={"code": "UNEXPECTED", "message": "broken"})
    return work.run_id


async def test_a_score_is_shown_part_by_part_and_found_again_to_the_digit(
    postgres: ThrowawayPostgres, plane: Plane, cli: Cli
) -> None:
    run = await ended(plane, "failed")
    await judge(postgres, plane)

    shown = await cli.json("score", "show", str(run), "--verify")

    assert shown["score"]["score"] == "21.67"  # (40 * 0 + 10 * 0.5 + 10 * 0.8) / 60
    assert [(part["signal"], part["value"], part["lost"]) for part in shown["score"]["parts"]] == [
        ("outcome", "0.000000", "66.67"),
        ("retries", "0.500000", "8.33"),
        ("failure_streak", "0.800000", "3.33"),
    ]
    assert shown["verified"] == {"match": True, "recomputed": "21.67", "differences": [], "unproven": []}


@pytest.mark.parametrize(
    ("tampering", "told"),
    [
        ("update ops.run_scores set score = score + 0.01", "the score is"),
        ("update ops.signals set value = 1 where name = 'outcome'", "outcome: the value is 1"),
        (
            "update ops.signals set evidence = evidence || '{\"failures\": 0}' where name = 'retries'",
            "retries: the value is",
        ),
        ("update ops.run_scores set inputs = inputs - 'outcome', score = 65", "outcome: it has a weight"),
    ],
)
async def test_tampering_with_a_score_or_its_inputs_is_seen(
    postgres: ThrowawayPostgres, plane: Plane, cli: Cli, tampering: str, told: str
) -> None:
    run = await ended(plane, "failed")
    await judge(postgres, plane)

    await plane.db.execute(tampering)
    code, out = await cli("score", "show", str(run), "--verify", "-o", "json")

    assert code == 1
    assert told in " ".join(json.loads(out)["verified"]["differences"])


async def test_tampering_with_a_version_of_weights_is_refused_and_seen_when_forced(
    postgres: ThrowawayPostgres, plane: Plane, cli: Cli
) -> None:
    run = await ended(plane, "failed")
    await judge(postgres, plane)
    change = "update ops.signal_weights set weight = 1 where signal = 'outcome'"

    with pytest.raises(asyncpg.PostgresError, match="never changed"):
        await plane.db.execute(change)
    await plane.db.execute(f"set session_replication_role = replica; {change}")
    code, out = await cli("score", "show", str(run), "--verify", "-o", "json")

    assert code == 1
    assert "outcome: the score gives it weight 40" in out


async def test_what_if_says_which_runs_move_and_who_would_have_alerted_and_saves_nothing(
    postgres: ThrowawayPostgres, plane: Plane, cli: Cli
) -> None:
    good, bad = await ended(plane), await ended(plane, "failed")
    await judge(postgres, plane)
    await plane.db.fetchval(
        "select ops.set_alert_rule($1, 'low', '{RUN_SCORED}', '{\"min_score\": 50}', 'error', 'low')", ENVIRONMENT
    )

    answer = (await cli.json("score", "what-if", "--weights", "outcome=0,failure_streak=50", "--since", "14d"))[
        "what_if"
    ]

    assert (answer["runs"], answer["changed"], answer["better"], answer["worse"]) == (2, 1, 1, 0)
    assert [mover["run_id"] for mover in answer["movers"]] == [str(bad)]
    [alert] = answer["alerts"]
    assert (alert["rule"], alert["pipeline"], alert["before"], alert["after"]) == ("low", "books", 1, 0)
    assert (await cli.json("score", "weights", "show"))["version"]["version"] == 2
    assert (await cli.json("score", "show", str(good)))["score"]["score"] == "100.00"


async def test_new_weights_are_a_new_version_and_old_scores_keep_theirs(
    postgres: ThrowawayPostgres, plane: Plane, cli: Cli
) -> None:
    before = await ended(plane, "failed")
    await judge(postgres, plane)

    made = await cli.json("score", "weights", "set", "--weights", "outcome=80", "--reason", "failures matter more")
    after = await ended(plane, "failed")
    await judge(postgres, plane)

    assert (made["version"]["version"], made["version"]["active"], made["version"]["reason"]) == (
        3,
        True,
        "failures matter more",
    )
    versions = [
        (await cli.json("score", "show", str(run), "--verify"))["score"]["weights_version"] for run in (before, after)
    ]
    assert versions == [2, 3]
    listed = (await cli.json("score", "weights", "list"))["items"]
    assert [(each["version"], each["active"]) for each in listed] == [(3, True), (2, False), (1, False)]


@pytest.mark.parametrize(
    ("weights", "told"),
    [
        ("fresness=1", "There is no signal"),
        ("outcome=-1", "0 or more"),
        ("outcome=x", "not of the form"),
        ("outcome", "name=value"),
    ],
)
async def test_weights_that_cannot_be_meant_are_refused(cli: Cli, weights: str, told: str) -> None:
    code, _ = await cli("score", "weights", "set", "--weights", weights, "--reason", "typing")

    assert code == 2
    assert told in cli.said


async def test_signals_are_listed_by_name_and_value(postgres: ThrowawayPostgres, plane: Plane, cli: Cli) -> None:
    await ended(plane)
    bad = await ended(plane, "failed")
    await judge(postgres, plane)

    found = (await cli.json("signal", "list", "--name", "outcome", "--below", "0.5"))["items"]

    assert [(each["run_id"], each["value"]) for each in found] == [(str(bad), "0.000000")]


async def test_a_proposal_finds_the_signal_that_precedes_failures_and_changes_nothing_until_it_is_accepted(
    plane: Plane, cli: Cli
) -> None:
    await plane.pipeline("books")
    await past_runs(plane, 400)

    made = (await cli.json("score", "weights", "propose", "--since", "90d"))["proposal"]

    assert max(made["weights"], key=lambda name: float(made["weights"][name])) == "duration"
    assert made["evidence"]["skill"]["proposed"] > made["evidence"]["skill"]["present"]
    assert (await cli.json("score", "weights", "show"))["version"]["version"] == 2
    accepted = (await cli.json("score", "weights", "accept", made["id"]))["version"]
    assert (accepted["version"], accepted["proposal_id"]) == (3, made["id"])
    code, _ = await cli("score", "weights", "accept", made["id"])
    assert (code, "was accepted by" in cli.said) == (1, True)


async def test_the_scorer_learns_in_a_process_of_its_own_once_a_day_whoever_asks(
    postgres: ThrowawayPostgres, plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    await plane.pipeline("books")
    await past_runs(plane, 400)
    dsn = postgres.dsn(urlsplit(plane.dsn).path.removeprefix("/"), role="lakehouse_scorer")
    monkeypatch.setenv("LAKEHOUSE_DATABASE_URL", dsn)
    proposed = "select count(*) from ops.weight_proposals where author = 'lakehouse-scorer'"
    day = timedelta(days=1)

    async with open_database(dsn, application="tests") as database:
        control = ScorerRpc(database)
        assert await learn_once(control, day, in_a_child) == [ENVIRONMENT]
        assert await plane.db.fetchval(proposed) == 1
        assert await learn_once(control, day, in_a_child) == []
        await plane.pass_time(day)
        assert await control.take_learning_turns(day, 200) == [ENVIRONMENT]
        assert await control.take_learning_turns(timedelta(0), 401) == []


async def test_a_scorer_of_release_0_1_records_what_it_knows_on_the_new_schema(plane: Plane) -> None:
    run = await ended(plane, "failed")
    (facts,) = await plane.db.fetch("select * from ops.run_facts($1)", [run])
    signals = [{"run_id": run, "name": "outcome", "value": "0", "evidence": {"state": "failed"}}]
    rows = await plane.db.fetch("select * from ops.read_events('scorer', 500)")
    move = (rows[0]["from_xid"], rows[0]["from_seq"], rows[-1]["xid"], rows[-1]["seq"])

    recorded = [
        await plane.db.fetchval("select ops.record_signals('scorer', $1, $2, $3, $4, $5)", *move, signals)
        for _ in range(2)
    ]

    assert list(facts.keys()) == [
        "run_id", "environment_id", "pipeline", "state", "attempt", "failures", "losses", "duration_ms", "rows_added", "checks_passed",
        "checks_warned", "checks_failed", "usual_duration_ms", "usual_rows", "earlier_runs",
    ]  # fmt: skip
    assert recorded == [True, False]
    assert await plane.db.fetchval("select score from ops.run_scores where run_id = $1", run) == 0


async def test_too_little_history_proposes_nothing_and_says_how_much_is_needed(cli: Cli) -> None:
    code, _ = await cli("score", "weights", "propose")

    assert code == 2
    assert "200 runs are needed" in cli.said


async def past_runs(plane: Plane, count: int) -> None:
    """Judged runs, an hour apart, in which a slow run is often followed by a failure, and a costly one by nothing."""
    random_ = random.Random(7)
    rows, slow = [], False
    for n in range(count):
        failed = random_.random() < (0.8 if slow else 0.05)
        slow = random_.random() < 0.3
        rows.append((n, failed, 0.1 if slow else 1.0, random_.random()))
    await plane.db.execute(
        """
        with given as (select * from jsonb_to_recordset($1::jsonb) as g (n int, failed boolean, duration numeric, cost numeric)),
        made as (
          insert into ops.runs (environment_id, pipeline, bundle, phases, state, error, max_attempts, max_losses, due_at, created_at, started_at, finished_at)
          select p.environment_id, p.name, p.bundle, p.phases, case when g.failed then 'failed' else 'succeeded' end::ops.run_state,
                 case when g.failed then '{"code": "X"}'::jsonb end, 1, 1, t.at, t.at, t.at, t.at
            from given as g cross join ops.pipelines as p
            cross join lateral (select now() - interval '30 days' + g.n * interval '1 hour' as at) as t
           where p.name = 'books' returning id, created_at, state
        ),
        numbered as (select id, state, row_number() over (order by created_at) - 1 as n from made)
        insert into ops.signals (run_id, name, value, created_at)
        select m.id, s.name, s.value, now() from numbered as m join given as g on g.n = m.n
         cross join lateral (values ('outcome', case when g.failed then 0 else 1 end), ('duration', g.duration), ('cost', g.cost)) as s (name, value)
        """,
        [dict(zip(("n", "failed", "duration", "cost"), row, strict=True)) for row in rows],
    )
