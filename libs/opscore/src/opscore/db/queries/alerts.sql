-- Alerts of an environment, newest first, or one by its id.
select to_jsonb(a) - 'environment_id' as item
from api.alerts as a
where
    ($1::uuid is null or a.environment_id = $1)
    and ($2::text is null or a.state = $2)
    and ($3::uuid is null or a.id = $3)
order by a.created_at desc, a.id desc
limit $4
