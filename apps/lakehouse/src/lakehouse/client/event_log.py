"""The event log's proof as commands ask for it: verify with the keys that are known, and give out its head.

Used by `event verify` and `event head`. The keys are those given, else LAKEHOUSE_EVENT_KEY, else the home's own.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

from lakehouse.client.lakehouse import APPLICATION
from lakehouse.client.target import find_stack
from lakehouse.client.verifying import Verification
from lakehouse.embedded.settings import home_of
from lakehouse.embedded.signing_key import key_path
from opscore.db.chain_reader import open_chain
from opscore.domain.errors import InvalidInput, NotFound
from opscore.domain.seal import Head
from opscore.ports.people import Json
from opscore.signing import SETTING, load_verifier

NOT_SEALED = "The dispatcher seals settled events every few seconds; `lakehouse doctor` tells whether one does."


async def verify_log(since: datetime | None, keys: Sequence[str], heads: Sequence[Head]) -> Json:
    """Hold the log against its chain. keys: references. Raises InvalidSetting and ControlPlaneUnavailable."""
    verifier = load_verifier(list(keys) or _own_keys())
    async with open_chain(find_stack(os.environ).dsn, application=APPLICATION) as chain:
        known = {head.n: head.digest for head in heads}
        return (await Verification(chain, verifier, known).run(since)).as_json()


async def log_head() -> Json:
    """The newest seal. Raises NotFound while nothing is sealed."""
    async with open_chain(find_stack(os.environ).dsn, application=APPLICATION) as chain:
        seal = await chain.last_seal()
        if seal is None:
            raise NotFound("Nothing is sealed yet.", hint=NOT_SEALED)
        signed = await chain.checkpoints(seal.n, seal.n)
    key_id, signature = (signed[0].key_id, signed[0].signature) if signed else (None, None)
    at = datetime.fromtimestamp(seal.at_us / 1_000_000).astimezone().isoformat()
    return {"n": seal.n, "digest": seal.digest, "at": at, "key_id": key_id, "signature": signature}


def keep_head(file: str, head: Json) -> None:
    """Write a head for `kept_heads`."""
    Path(file).write_text(f"{json.dumps(head)}\n", encoding="utf-8")


def kept_heads(files: Iterable[str]) -> list[Head]:
    """Heads that were kept in files. Raises InvalidInput."""
    return [_head(Path(file)) for file in files]


def _head(file: Path) -> Head:
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
        return Head(int(kept["n"]), str(kept["digest"]))
    except (OSError, ValueError, KeyError, TypeError):
        raise InvalidInput(
            f"{file} holds no head of the event log.", hint="Give a file that `lakehouse event head --to FILE` wrote."
        ) from None


def _own_keys() -> list[str]:
    named = os.environ.get(SETTING)
    if named:
        return [named]
    own = key_path(home_of(os.environ))
    return [f"file:{own.absolute()}"] if own.exists() else []
