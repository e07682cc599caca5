"""Whether the tables a run reads still are the ones its snapshot knows. Called by discovery and the ingest phase.

TRUNCATE and rewriting ALTERs respect no older snapshot: to it the table's new file looks empty. So each table is read
once, which locks it against them until the snapshot's transaction ends, and is then compared with the snapshot's word.
"""

from __future__ import annotations

from collections.abc import Iterable

from opscore.domain.errors import SourceUnavailable
from opscore.ports.source import SourceSession

# `relfilenode` is read by the snapshot, `pg_relation_filenode` and `to_regclass` answer for the present.
REWRITTEN = """
with recursive taken as (
  select c.oid as root, c.relname::text as name, c.oid as part
    from pg_class as c
    join pg_namespace as n on n.oid = c.relnamespace
   where n.nspname = $1 and c.relname = any($2) and c.relkind in ('r', 'p')
  union all
  select taken.root, taken.name, i.inhrelid
    from taken
    join pg_inherits as i on i.inhparent = taken.part
    join pg_class as parent on parent.oid = taken.part and parent.relkind = 'p'
)
select taken.name
  from taken
  join pg_class as c on c.oid = taken.part
 where (c.relkind = 'r' and c.relfilenode is distinct from pg_relation_filenode(c.oid))
    or (c.oid = taken.root and c.oid is distinct from to_regclass(quote_ident($1) || '.' || quote_ident(taken.name)))
 order by taken.name
 limit 1
"""


async def refuse_rewritten(session: SourceSession, schema: str, names: Iterable[str]) -> None:
    """Raise SourceUnavailable for a table rewritten since the snapshot. The session must have read every table."""
    rows = await session.fetch(REWRITTEN, schema, list(names))
    if rows:
        name = rows[0]["name"]
        raise SourceUnavailable(
            f"Source table {name} was rewritten or replaced (TRUNCATE, ALTER, DROP) while the run began to read it",
            hint="Nothing was changed. The run starts over at a new moment of the source by itself.",
        )
