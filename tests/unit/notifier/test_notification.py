"""What a notification says on each channel."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from opscore.domain.notification import slack_payload, webhook_payload

BODY = {
    "type": "alert.opened",
    "timestamp": "2026-03-01T00:00:00+00:00",
    "alert_id": "a1",
    "rule": "run_failed",
    "severity": "error",
    "summary": "silver_to_gold failed: Gate x blocked y.",
    "pipeline": "silver_to_gold",
    "run_id": "r1",
    "code": "GATE_BLOCKED",
    "message": "Gate x blocked y.",
}


def test_a_webhook_carries_type_time_and_data() -> None:
    payload = webhook_payload(BODY)

    assert (payload["type"], payload["timestamp"]) == ("alert.opened", "2026-03-01T00:00:00+00:00")
    assert payload["data"] == {name: value for name, value in BODY.items() if name not in {"type", "timestamp"}}


def test_slack_gets_the_sentence_first_and_the_facts_below() -> None:
    payload = slack_payload(BODY | {"url": "https://room/runs/r1"})

    assert payload["text"] == "silver_to_gold failed: Gate x blocked y."
    assert [block["type"] for block in payload["blocks"]] == ["section", "context"]
    assert payload["blocks"][1]["elements"][0]["text"] == (
        "*error* · rule run_failed · run `r1` · code `GATE_BLOCKED` · <https://room/runs/r1|open the run>"
    )


def test_what_a_run_says_is_never_markup_in_slack() -> None:
    payload = slack_payload(BODY | {"summary": "<!channel> & <https://evil|click>", "code": "<!here>"})

    assert payload["text"] == "&lt;!channel&gt; &amp; &lt;https://evil|click&gt;"
    assert "<" not in json.dumps(payload)


@given(st.dictionaries(st.sampled_from([*BODY, "url"]), st.none() | st.text() | st.text("&<>", min_size=700)))
def test_slack_text_stays_within_what_slack_takes(body: dict[str, Any]) -> None:
    payload = slack_payload(body)

    assert 0 < len(payload["blocks"][0]["text"]["text"]) <= 3000
    assert 0 < len(payload["blocks"][1]["elements"][0]["text"]) <= 3000
