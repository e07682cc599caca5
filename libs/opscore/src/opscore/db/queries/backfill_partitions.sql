-- The partitions of a backfill, in order.
select to_jsonb(p) - 'backfill_id' as item
from api.backfill_partitions as p
where p.backfill_id = $1
order by p.ordinal
