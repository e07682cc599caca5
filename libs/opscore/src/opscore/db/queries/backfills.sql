-- Backfills of an environment, newest first, with how far each has come.
select to_jsonb(b) - 'environment_id' as item
from api.backfills as b
where
    b.environment_id = $1
    and ($2::uuid is null or b.id = $2)
    and ($3::text is null or b.state = $3)
order by b.created_at desc, b.id desc
limit $4
