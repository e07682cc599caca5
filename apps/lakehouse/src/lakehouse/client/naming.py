"""Which run or backfill the first characters of an id mean. Used by `Lakehouse.find_run` and `find_backfill`."""

from __future__ import annotations

from uuid import UUID

from opscore.db.pool import Database
from opscore.domain.errors import InvalidInput, NotFound

# A range, so that the primary key's index answers it however many there are.
MATCHING = {
    "run": "select id from api.runs where id between $1 and $2 order by id limit 4",
    "backfill": "select id from api.backfills where id between $1 and $2 order by id limit 4",
}
SHOWN = 3


async def find(database: Database, kind: str, beginning: str) -> UUID:
    """The one run or backfill whose id begins so. A whole id is taken as it is: the next call sees whether it exists.

    kind: a key of MATCHING. beginning: of a UUID's text. Raises NotFound, and InvalidInput when it fits several.
    """
    digits = beginning.replace("-", "")
    lowest, highest = UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))
    if lowest == highest:
        return lowest
    found = [row["id"] for row in await database.fetch(MATCHING[kind], lowest, highest)]
    if not found:
        raise NotFound(kind=kind, name=f"{beginning}…", hint=f"`lakehouse {kind} list` shows what there is.")
    if len(found) > 1:
        more = ", …" if len(found) > SHOWN else ""
        raise InvalidInput(
            f"Several {kind}s begin with {beginning}: {', '.join(str(one) for one in found[:SHOWN])}{more}.",
            hint="Give more of the id's characters.",
        )
    return found[0]
