-- Runs of an environment, newest first, behind a keyset cursor. Ad-hoc statements are listed only when asked for.
select to_jsonb(p) as item
from (
    select r.*
    from api.runs as r
    where
        r.environment_id = $1
        and ($2::ops.run_state is null or r.state = $2)
        and ($3::text is null or r.pipeline = $3)
        and (r.pipeline <> 'query' or $3 is not null)
        and ($4::timestamptz is null or (r.created_at, r.id) < ($4, $5::uuid))
    order by r.created_at desc, r.id desc
    limit $6
) as p
order by p.created_at desc, p.id desc
