-- A run and all runs that its publish triggered, directly or not, oldest first.
with recursive triggered as (
    select
        r.id,
        0 as generation
    from ops.runs as r
    where r.id = $1
    union all
    select
        r.id,
        t.generation + 1 as generation
    from triggered as t
    inner join ops.runs as r on t.id = r.parent_run_id
)

select to_jsonb(r) as item
from triggered as t
inner join api.runs as r on t.id = r.id
order by t.generation, r.created_at, r.id
