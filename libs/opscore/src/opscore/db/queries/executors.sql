-- Executors, or the one of this name, those seen last first.
with shown as (
    select
        e.*,
        e.lost_at is null and e.last_seen_at > ops.now() - make_interval(secs => s.executor_ttl_ms / 1000.0) as alive,
        array(
            select q.run_id
            from ops.open_runs as q
            where q.executor_id = e.id
            order by q.due_at
        ) as runs
    from api.executors as e
    cross join ops.settings as s
    where $1::text is null or e.name = $1
)

select
    to_jsonb(e) || jsonb_build_object(
        'running', cardinality(e.runs),
        'state', case
            when e.signed_off_at is not null then 'stopped'
            when not e.alive then 'lost'
            when e.draining then 'draining'
            else 'working'
        end
    ) as item
from shown as e
order by e.last_seen_at desc, e.name asc
