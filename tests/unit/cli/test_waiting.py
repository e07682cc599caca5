"""Following runs to their end: how often they are looked at, and when it is over."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import anyio
import pytest

from lakehouse.client import waiting
from lakehouse.client.waiting import Patience, follow
from lakehouse.output.progress import doing, share

Json = dict[str, Any]


def run(state: str, score: float | None = None, progress: Json | None = None, **more: Any) -> Json:
    return {"id": "1", "state": state, "score": score, "progress": progress, "phase": None, "wait_reason": None, **more}


class Story:
    """Answers one look after the other; the last answer stays. Its bell rings never."""

    healthy = True

    def __init__(self, *answers: list[Json]) -> None:
        self._answers = list(answers)
        self.looks = 0
        self.now = 0.0
        self.rests: list[float] = []

    async def look(self) -> list[Json]:
        self.looks += 1
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]

    async def wait(self, timeout: float) -> bool:  # noqa: ASYNC109 - the port's
        self.rests.append(timeout)
        self.now += timeout
        return False

    def ring(self) -> None:
        raise NotImplementedError


async def followed(
    story: Story, monkeypatch: pytest.MonkeyPatch, patience: Patience | None = None
) -> tuple[list[Json], list[list[Json]]]:
    """How it ended, and what was told on the way; time passes only while it rests."""
    told: list[list[Json]] = []
    monkeypatch.setattr(anyio, "current_time", lambda: story.now)
    try:
        return await follow(story.look, story, patience or Patience(), told.append), told
    finally:
        monkeypatch.undo()


def states(told: Iterable[list[Json]]) -> list[str]:
    return [runs[0]["state"] for runs in told]


async def test_every_change_is_told_once_until_the_score_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    queued, running, done, scored = [run("queued")], [run("running")], [run("succeeded")], [run("succeeded", 97.5)]

    end, told = await followed(Story(queued, queued, running, running, done, scored), monkeypatch)

    assert states(told) == ["queued", "running", "succeeded", "succeeded"]
    assert end == scored


async def test_a_score_that_does_not_come_is_waited_for_five_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    story = Story([run("succeeded")])

    end, _ = await followed(story, monkeypatch)

    assert end == [run("succeeded")]
    assert story.now == pytest.approx(5, abs=waiting.LONGEST_LOOK_S)


async def test_patience_ends_with_the_run_as_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    story = Story([run("held")])

    end, _ = await followed(story, monkeypatch, Patience(end=3.0))

    assert end == [run("held")]
    assert story.now == pytest.approx(3.0, abs=0.1)


async def test_a_run_is_never_looked_at_more_than_four_times_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    busy = [run("running", progress={"done": 1, "total": 2})]
    story = Story(busy)

    await followed(story, monkeypatch, Patience(end=10.0))

    assert story.looks <= 10 * 4 + 2


async def test_a_run_nobody_works_on_is_looked_at_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    story = Story([run("queued")])

    await followed(story, monkeypatch, Patience(end=20.0))

    assert max(story.rests) == waiting.LONGEST_LOOK_S
    assert story.looks < 20


async def test_triggered_runs_are_waited_for_as_they_appear(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = run("succeeded", 100), {**run("queued"), "id": "2"}
    story = Story([run("running")], [first, second], [first, {**second, "state": "succeeded", "score": 90}])

    end, told = await followed(story, monkeypatch)

    assert [one["id"] for one in end] == ["1", "2"]
    assert [len(runs) for runs in told] == [1, 2, 2]


@pytest.mark.parametrize(
    ("seen", "words", "part"),
    [
        (run("queued"), "queued", (0, None)),
        (
            run("running", progress={"done": 3, "total": 9, "unit": "tables"}, phase="ingest"),
            "running ingest 3/9 tables",
            (3, 9),
        ),
        (run("succeeded", phase="publish"), "succeeded publish", (1, 1)),
        (
            run("held", wait_reason={"cap": "c", "used": 1, "limit": 1}),
            "held by cap c (1 of 1 in use)",
            (0, None),
        ),
    ],
)
def test_progress_says_what_a_run_is_at(seen: Json, words: str, part: tuple[float, float | None]) -> None:
    assert doing(seen) == words
    assert share(seen) == part
