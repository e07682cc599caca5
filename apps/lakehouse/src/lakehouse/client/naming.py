"""Which run the first characters of an id mean. Used by `Lakehouse.find_run`."""

from __future__ import annotations

from uuid import UUID

from opscore.db.pool import Database
from opscore.domain.errors import InvalidInput, NotFound

# A range, so that the primary key's index answers it however many runs there are.
MATCHING = "select id from api.runs where id between $1 and $2 order by id limit 4"
SHOWN = 3


async def find_run(database: Database, beginning: str) -> UUID:
    """The one run whose id begins so. A whole id is taken as it is: whether it exists is the next call's question.

    beginning: of a UUID's text. Raises NotFound, and InvalidInput when it fits several.
    """
    digits = beginning.replace("-", "")
    lowest, highest = UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))
    if lowest == highest:
        return lowest
    found = [row["id"] for row in await database.fetch(MATCHING, lowest, highest)]
    if not found:
        raise NotFound(kind="run", name=f"{beginning}…", hint="`lakehouse run list` shows what there is.")
    if len(found) > 1:
        more = ", …" if len(found) > SHOWN else ""
        raise InvalidInput(
            f"Several runs begin with {beginning}: {', '.join(str(one) for one in found[:SHOWN])}{more}.",
            hint="Give more of the id's characters.",
        )
    return found[0]
