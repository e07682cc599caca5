"""The control room over HTTP, on a real socket and a real control plane."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import unquote, urlsplit
from uuid import UUID

import anyio
import httpx
import pytest

from lakehouse.embedded.throwaway import ThrowawayPostgres
from lakehouse_controlroom.app import CHANNELS
from lakehouse_controlroom.doorbell import Doorbell
from lakehouse_controlroom.feed import Feed
from lakehouse_controlroom.room import Room
from lakehouse_controlroom.serving import bound, serve_until_stopped
from lakehouse_controlroom.web import guarded
from opscore.db.listen import listening
from opscore.db.people_rpc import PeopleRpc
from opscore.db.pool import open_database
from opscore.db.schedules_rpc import SchedulesRpc
from opscore.domain.bundle import bundled
from opscore.domain.phase import Phase
from opscore.observe.log import set_up_log
from opscore.observe.metrics import Metrics
from opscore.observe.observer import ServiceObserver
from opscore.ports.people import DEFAULT_ENVIRONMENT
from opscore.runtime.clock import SystemClock
from opscore.runtime.health import Health
from opscore.runtime.service import Service
from opscore.runtime.stopping import Stopping

TOKEN = "lh_0123456789abcdef"
AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}
SPEC = {
    "version": 1,
    "name": "books",
    "layer": "gold",
    "owner": "ana",
    "params": {"day": {"type": "date", "default": "today"}},
    "sources": [{"name": "silver", "kind": "lake", "namespace": "silver"}],
    "destinations": [{"namespace": "gold"}],
    "transforms": [{"kind": "sql", "table": "gold.a", "file": "a.sql", "key": ["id"]}],
}

NOBODY = "00000000-0000-4000-8000-00000000dead"  # a run that is not there


class Visitor:
    """A browser's view of a control room, and the people behind it."""

    def __init__(self, client: httpx.AsyncClient, people: PeopleRpc, room: Room) -> None:
        self.client = client
        self.people = people
        self.room = room

    async def start(self, key: str | None = None, **headers: str) -> httpx.Response:
        sent = {**AUTHORIZED, **headers} | ({"Idempotency-Key": key} if key else {})
        return await self.client.post("/v1/runs", json={"pipeline": "books"}, headers=sent)


@asynccontextmanager
async def visiting(postgres: ThrowawayPostgres, control_dsn: str, token: str | None = TOKEN) -> AsyncIterator[Visitor]:
    name = unquote(urlsplit(control_dsn).path.removeprefix("/"))
    dsn = postgres.dsn(name, role="lakehouse_controlroom")
    observer = ServiceObserver(set_up_log(level="error"), Metrics("controlroom"))
    service = Service("controlroom", "0", observer, SystemClock(), Health(), Stopping())
    service.health.well("database")
    socket = bound(0)
    url = f"http://127.0.0.1:{socket.getsockname()[1]}"
    async with (
        open_database(dsn, application="tests") as database,
        listening(dsn, CHANNELS, application="tests") as wakeups,
        httpx.AsyncClient(base_url=url, timeout=60) as client,
        anyio.create_task_group() as group,
    ):
        people, doorbell = PeopleRpc(database), Doorbell()
        await people.apply_pipeline(DEFAULT_ENVIRONMENT, bundled(SPEC, {"a.sql": "select 1"}), [Phase.PUBLISH])
        feed = Feed(people, DEFAULT_ENVIRONMENT, doorbell)
        room = Room(people, DEFAULT_ENVIRONMENT, feed, doorbell, service, token, SchedulesRpc(database))

        async def follow() -> None:
            while True:
                await feed.look()

        group.start_soon(doorbell.run, wakeups)
        group.start_soon(follow)
        group.start_soon(serve_until_stopped, guarded(room), socket, service.stopping)
        yield Visitor(client, people, room)
        group.cancel_scope.cancel()


async def messages(response: httpx.Response, count: int) -> list[dict[str, str]]:
    """The first so many server-sent events, as their fields."""
    found: list[dict[str, str]] = [{}]
    async for line in response.aiter_lines():
        if line and not line.startswith(":"):
            name, _, value = line.partition(": ")
            found[-1][name] = value
        elif found[-1]:
            if len(found) == count:
                return found
            found.append({})
    return found


def is_problem(response: httpx.Response, status: int, code: str) -> bool:
    body: dict[str, Any] = response.json()
    media_type = response.headers["content-type"]
    return (response.status_code, body["code"], body["status"], media_type) == (
        status,
        code,
        status,
        "application/problem+json",
    )


async def test_a_run_is_started_listed_and_shown(postgres: ThrowawayPostgres, control_dsn: str) -> None:
    async with visiting(postgres, control_dsn) as visitor:
        started = await visitor.start()
        run = started.json()["run"]

        listed = (await visitor.client.get("/v1/runs?state=queued&pipeline=books")).json()
        shown = (await visitor.client.get(f"/v1/runs/{run['id']}")).json()

    assert started.status_code == 201
    assert run["params"]["day"]
    assert listed == {"items": [run], "next": None}
    assert shown == {"run": run}


async def test_an_idempotency_key_answers_the_first_run(postgres: ThrowawayPostgres, control_dsn: str) -> None:
    async with visiting(postgres, control_dsn) as visitor:
        first, second = await visitor.start("once"), await visitor.start("once")

    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["run"]["id"] == second.json()["run"]["id"]


async def test_an_idempotency_key_used_for_another_request_is_refused(
    postgres: ThrowawayPostgres, control_dsn: str
) -> None:
    async with visiting(postgres, control_dsn) as visitor:
        await visitor.start("once")
        other = {"pipeline": "books", "params": {"day": "2026-01-01"}}
        answer = await visitor.client.post("/v1/runs", json=other, headers={**AUTHORIZED, "Idempotency-Key": "once"})

    assert is_problem(answer, 409, "IDEMPOTENCY_CONFLICT")
    assert "params" in answer.text


async def test_pages_of_runs_follow_each_other(postgres: ThrowawayPostgres, control_dsn: str) -> None:
    async with visiting(postgres, control_dsn) as visitor:
        made = [(await visitor.start()).json()["run"]["id"] for _ in range(3)]
        first = (await visitor.client.get("/v1/runs?limit=2")).json()
        second = (await visitor.client.get("/v1/runs", params={"limit": 2, "after": first["next"]})).json()

    assert [run["id"] for run in first["items"] + second["items"]] == list(reversed(made))
    assert second["next"] is None


async def test_a_run_is_canceled_with_its_reason(postgres: ThrowawayPostgres, control_dsn: str) -> None:
    async with visiting(postgres, control_dsn) as visitor:
        run_id = (await visitor.start()).json()["run"]["id"]
        body = {"reason": "wrong day"}
        canceled = await visitor.client.post(f"/v1/runs/{run_id}/cancel", json=body, headers=AUTHORIZED)
        events = (await visitor.client.get(f"/v1/runs/{run_id}/events?after=1")).json()["items"]

    assert canceled.json()["run"]["cancel"] == "confirmed"
    assert [(event["type"], event["data"].get("reason")) for event in events] == [
        ("CANCEL_REQUESTED", "wrong day"),
        ("RUN_CANCELED", None),
    ]


async def test_writes_need_the_token(postgres: ThrowawayPostgres, control_dsn: str) -> None:
    async with visiting(postgres, control_dsn) as visitor:
        without = await visitor.client.post("/v1/runs", json={"pipeline": "books"})
        wrong = await visitor.start(Authorization="Bearer something-else")
        runs = (await visitor.client.get("/v1/runs")).json()["items"]

    assert is_problem(without, 401, "NOT_ALLOWED")
    assert without.headers["www-authenticate"] == "Bearer"
    assert is_problem(wrong, 401, "NOT_ALLOWED")
    assert runs == []


async def test_a_control_room_without_a_token_changes_nothing(postgres: ThrowawayPostgres, control_dsn: str) -> None:
    async with visiting(postgres, control_dsn, token=None) as visitor:
        answer = await visitor.start(Authorization="Bearer anything")

    assert is_problem(answer, 403, "NOT_ALLOWED")


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8377", "127.0.0.1.evil.example", "", "[::1"])
async def test_other_host_names_are_refused(postgres: ThrowawayPostgres, control_dsn: str, host: str) -> None:
    async with visiting(postgres, control_dsn) as visitor:
        answer = await visitor.client.get("/v1/runs", headers={"Host": host})

    assert is_problem(answer, 403, "NOT_ALLOWED")


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}],
    ids=["origin", "null", "fetch-site"],
)
async def test_pages_of_other_sites_change_nothing(
    postgres: ThrowawayPostgres, control_dsn: str, headers: dict[str, str]
) -> None:
    async with visiting(postgres, control_dsn) as visitor:
        answer = await visitor.start(**headers)
        runs = (await visitor.client.get("/v1/runs")).json()["items"]

    assert is_problem(answer, 403, "NOT_ALLOWED")
    assert runs == []


async def test_every_answer_carries_the_security_headers(postgres: ThrowawayPostgres, control_dsn: str) -> None:
    async with visiting(postgres, control_dsn) as visitor:
        answers = [await visitor.client.get(path) for path in ("/", "/static/room.js", "/v1/runs", "/nowhere")]

    for answer in answers:
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/nothing", 404, "NOT_FOUND"),
        ("GET", f"/v1/runs/{NOBODY}", 404, "NOT_FOUND"),
        ("GET", f"/v1/runs/{NOBODY}/events", 404, "NOT_FOUND"),
        ("GET", "/v1/runs/no-uuid", 400, "INVALID_INPUT"),
        ("GET", "/v1/runs?limit=0", 400, "INVALID_INPUT"),
        ("GET", "/v1/runs?state=lost", 400, "INVALID_INPUT"),
        ("GET", "/v1/runs?after=yesterday", 400, "INVALID_INPUT"),
        ("DELETE", "/v1/runs", 405, "INVALID_INPUT"),
        ("GET", "/static/secrets.json", 404, "NOT_FOUND"),
        ("GET", "/static/..%2F..%2Fapp.py", 404, "NOT_FOUND"),
    ],
)
async def test_faults_are_problem_documents(
    postgres: ThrowawayPostgres, control_dsn: str, method: str, path: str, status: int, code: str
) -> None:
    async with visiting(postgres, control_dsn) as visitor:
        answer = await visitor.client.request(method, path)

    assert is_problem(answer, status, code)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"pipeline": "nothing"}, "NOT_FOUND"),
        ({"pipeline": "books", "params": {"day": "someday"}}, "INVALID_PARAMETER"),
        ({"pipeline": "books", "colour": "red"}, "INVALID_INPUT"),
        ({"pipeline": "books", "params": []}, "INVALID_INPUT"),
        ([], "INVALID_INPUT"),
    ],
)
async def test_runs_that_cannot_be_meant_are_refused(
    postgres: ThrowawayPostgres, control_dsn: str, body: Any, code: str
) -> None:
    async with visiting(postgres, control_dsn) as visitor:
        answer = await visitor.client.post("/v1/runs", json=body, headers=AUTHORIZED)

    assert answer.json()["code"] == code


async def test_a_body_that_is_too_long_is_refused(postgres: ThrowawayPostgres, control_dsn: str) -> None:
    async with visiting(postgres, control_dsn) as visitor:
        answer = await visitor.client.post("/v1/runs", content=b"x" * (2 * 1024 * 1024 + 1), headers=AUTHORIZED)

    assert is_problem(answer, 400, "INVALID_INPUT")


async def test_events_of_a_run_stream_on_from_where_the_reader_was_cut_off(
    postgres: ThrowawayPostgres, control_dsn: str
) -> None:
    stream = {"Accept": "text/event-stream"}
    async with visiting(postgres, control_dsn) as visitor:
        run_id = (await visitor.start()).json()["run"]["id"]
        async with visitor.client.stream("GET", f"/v1/runs/{run_id}/events", headers=stream) as response:
            [first] = await messages(response, 1)
        await visitor.client.post(f"/v1/runs/{run_id}/cancel", headers=AUTHORIZED)
        cut_off = {**stream, "Last-Event-ID": first["id"]}
        async with visitor.client.stream("GET", f"/v1/runs/{run_id}/events", headers=cut_off) as response:
            rest = await messages(response, 2)

    assert json.loads(first["data"])["type"] == "RUN_CREATED"
    assert [(message["id"], json.loads(message["data"])["type"]) for message in rest] == [
        ("2", "CANCEL_REQUESTED"),
        ("3", "RUN_CANCELED"),
    ]


async def test_a_run_that_changes_reaches_whoever_looks(postgres: ThrowawayPostgres, control_dsn: str) -> None:
    async with visiting(postgres, control_dsn) as visitor, visitor.client.stream("GET", "/v1/events") as response:
        lines = response.aiter_lines()
        assert await anext(lines) == "event: hello"
        await anext(lines)
        run_id = (await visitor.start()).json()["run"]["id"]

        told = [line async for line in until(lines, "data: ", 1)]

    run = json.loads(told[0].removeprefix("data: "))
    assert (run["id"], run["state"]) == (run_id, "queued")


async def until(lines: AsyncIterator[str], prefix: str, count: int) -> AsyncIterator[str]:
    async for line in lines:
        if line.startswith(prefix):
            yield line
            count -= 1
        if not count:
            return


async def test_streams_end_when_the_service_stops(postgres: ThrowawayPostgres, control_dsn: str) -> None:
    async with visiting(postgres, control_dsn) as visitor:
        run_id = (await visitor.start()).json()["run"]["id"]
        path, accept = f"/v1/runs/{run_id}/events", {"Accept": "text/event-stream"}
        async with visitor.client.stream("GET", path, headers=accept) as response:
            lines = response.aiter_lines()
            assert await anext(lines) == "id: 1"
            visitor.room.doorbell.close()

            left = [line async for line in lines]

    assert [line for line in left if line.startswith("id")] == []


async def test_tables_pipelines_executors_and_health_are_listed(postgres: ThrowawayPostgres, control_dsn: str) -> None:
    async with visiting(postgres, control_dsn) as visitor:
        tables = (await visitor.client.get("/v1/tables")).json()
        pipelines = (await visitor.client.get("/v1/pipelines")).json()
        executors = (await visitor.client.get("/v1/executors")).json()
        health = await visitor.client.get("/v1/health")

    assert tables == executors == {"items": []}
    assert [one["name"] for one in pipelines["items"]] == ["books", "query"]
    assert (health.status_code, health.json()["healthy"]) == (200, True)


async def test_the_page_asks_no_other_host(postgres: ThrowawayPostgres, control_dsn: str) -> None:
    async with visiting(postgres, control_dsn) as visitor:
        page = (await visitor.client.get(f"/runs/{NOBODY}")).text
        files = ("room.js", "runs.js", "panel.js", "tables.js", "words.js", "dom.js", "room.css")
        answers = [await visitor.client.get(f"/static/{name}") for name in files]

    assert "<style" not in page
    assert "<script>" not in page
    for answer in answers:
        assert answer.status_code == 200
        assert "://" not in answer.text


async def test_a_webhooks_token_starts_its_pipeline_once_per_key_and_nothing_else(
    postgres: ThrowawayPostgres, control_dsn: str
) -> None:
    token, digest = "of-the-erp", hashlib.sha256(b"of-the-erp").hexdigest()
    hook = {
        "version": 1,
        "name": "hooked",
        "params": {"day": {"type": "date"}},
        "triggers": [{"kind": "webhook", "name": "erp"}],
    }
    async with visiting(postgres, control_dsn) as visitor:
        await visitor.people.apply_pipeline(DEFAULT_ENVIRONMENT, bundled(hook, {}), [Phase.PUBLISH])
        await visitor.room.webhooks.set_trigger_token(DEFAULT_ENVIRONMENT, "hooked", "erp", sha256=digest, by="ann")  # type: ignore[attr-defined] - the adapter behind the port

        async def fire(bearer: str | None, **body: Any) -> httpx.Response:
            headers = {"Idempotency-Key": "k"} | ({"Authorization": f"Bearer {bearer}"} if bearer else {})
            return await visitor.client.post("/v1/webhooks", json=body, headers=headers)

        first, again = await fire(token, params={"day": "2026-01-01"}), await fire(token, params={"day": "2026-01-01"})
        refused = [
            await fire(None),
            await fire("guess"),
            await fire(TOKEN),
            await fire(token, params={"speed": 1}),
            await fire(token),
        ]
        run = await visitor.people.run(UUID(first.json()["run_id"]))

    assert (first.status_code, again.status_code, again.json()["run_id"]) == (201, 200, first.json()["run_id"])
    assert (run["pipeline"], run["trigger"], run["params"]) == ("hooked", "webhook", {"day": "2026-01-01"})
    assert [(answer.status_code, answer.json()["code"]) for answer in refused] == [
        (401, "NOT_ALLOWED"), (403, "NOT_ALLOWED"), (403, "NOT_ALLOWED"), (400, "INVALID_INPUT"), (409, "IDEMPOTENCY_CONFLICT"),
    ]  # fmt: skip
