"""Whether the notifier would send to a URL, judged by its own guard. Used by `route set`."""

from __future__ import annotations

from collections.abc import Mapping

from lakehouse.demo.environment import LOOPBACK
from opscore.domain.errors import DeliveryFailed, OpsError

NAME = "LAKEHOUSE_WEBHOOK_ALLOW"


async def doubt_about(url: str, environ: Mapping[str, str]) -> str | None:
    """Why a notification might not be sent there, and what to do; None when nothing speaks against it.

    environ: ours. The notifier's own decides, and may allow or lack what ours does, so this is a doubt, not a verdict.
    """
    from lakehouse_notifier.guard import Allowed, Guard  # noqa: PLC0415 - brings the HTTP client

    try:
        await Guard(Allowed.parse(environ.get(NAME, _default(environ)))).vet(url)
    except DeliveryFailed:
        return "The URL's host does not resolve from here. Correct it, unless the notifier knows it."
    except OpsError as error:
        return f"{error.message} {error.hint}"
    except ValueError as fault:
        return f"{NAME} is not usable: {fault}."
    return None


def _default(environ: Mapping[str, str]) -> str:
    """What `up` and `demo` allow on a machine of one's own; a notifier elsewhere allows nothing by itself."""
    return "" if environ.get("LAKEHOUSE_DATABASE_URL") else LOOPBACK
