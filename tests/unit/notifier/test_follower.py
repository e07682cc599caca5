"""How often the log is looked at when nothing can be read yet."""

from __future__ import annotations

from opscore.runtime.follow import Follower


async def test_a_bell_that_leads_to_nothing_is_looked_after_soon_and_then_ever_more_seldom() -> None:
    batches = [True, False, False, False, False]

    async def step() -> bool:
        return batches.pop(0)

    follower = Follower(step)

    found = [await follower(rang) for rang in (True, True, False, False, True)]

    assert found[0].again
    assert [each.due_in for each in found[1:]] == [0.01, 0.02, 0.04, 0.01]
