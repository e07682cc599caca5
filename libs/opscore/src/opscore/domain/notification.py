"""What a notification says, on each channel. Called by the notifier: pure, so that a retry sends the same bytes.

Whatever comes from a run (names, messages) is data here: it is never formatted again, and on Slack never markup.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from opscore.domain.retry import RetryPolicy

PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
LONGEST_TEXT = 2_000  # characters
LONGEST_ON_SLACK = 600  # Slack takes 3,000 in a section, and escaping makes five characters of one
LONGEST_FACT = 100
ALERT_OPENED = "alert.opened"

# Eight sends within about an hour, the first repeat after seconds.
DELIVERY_RETRIES = RetryPolicy(max_attempts=8, first=timedelta(seconds=5), factor=3.0, longest=timedelta(minutes=30))


def filled(template: str, facts: Mapping[str, str]) -> str:
    """Put facts into a template's {placeholders}; unknown ones stay as they are, facts are not looked into."""
    return shortened(PLACEHOLDER.sub(lambda found: facts.get(found[1], found[0]), template))


def shortened(text: str, longest: int = LONGEST_TEXT) -> str:
    """At most so many characters, cut visibly."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def webhook_payload(body: Mapping[str, Any]) -> dict[str, Any]:
    """The Standard Webhooks payload of a stored body. timestamp: when the event happened, so it stays on a retry."""
    data = {name: value for name, value in body.items() if name not in {"type", "timestamp"}}
    return {"type": body.get("type", ALERT_OPENED), "timestamp": body.get("timestamp"), "data": data}


def slack_payload(body: Mapping[str, Any]) -> dict[str, Any]:
    """An incoming-webhook message of a stored body: one sentence first, the facts below it."""
    summary = _plain(body.get("summary"), LONGEST_ON_SLACK) or "An alert without a summary."
    facts = [
        f"*{_plain(body.get('severity'))}*",
        f"rule {_plain(body.get('rule'))}",
        f"run `{_plain(body.get('run_id'))}`",
    ]
    if body.get("code"):
        facts.append(f"code `{_plain(body.get('code'))}`")
    if body.get("url"):
        facts.append(f"<{_plain(body.get('url'))}|open the run>")
    return {
        "text": summary,
        "blocks": [
            {"type": "section", "text": {"type": "mrkdwn", "text": summary}},
            {"type": "context", "elements": [{"type": "mrkdwn", "text": " · ".join(facts)}]},
        ],
    }


def _plain(value: Any, longest: int = LONGEST_FACT) -> str:
    """Text that Slack shows as it is: no mention, no link."""
    return shortened(str(value or ""), longest).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
