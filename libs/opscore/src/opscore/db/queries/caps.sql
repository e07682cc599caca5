-- Caps with what is in use now: leases for concurrency, the ledger within the window for runs.
with in_use as (
    select
        c.id,
        count(r.id) as used
    from ops.caps as c
    left join ops.open_runs as q on q.executor_id is not null
    left join ops.runs as r
        on
            q.run_id = r.id
            and c.environment_id = r.environment_id
            and (c.scope = 'environment' or c.pipeline = r.pipeline)
    where c.kind = 'concurrency'
    group by c.id
    union all
    select
        c.id,
        coalesce(sum(u.amount), 0) as used
    from ops.caps as c
    left join ops.cap_usage as u
        on c.id = u.cap_id and u.at > ops.now() - make_interval(secs => c.window_seconds)
    where c.kind = 'runs'
    group by c.id
)

select
    jsonb_build_object(
        'name', c.name, 'kind', c.kind, 'scope', c.scope, 'pipeline', c.pipeline, 'limit', c.ceiling,
        'window_seconds', c.window_seconds, 'enabled', c.enabled, 'used', n.used,
        'held', (
            select count(*)
            from ops.open_runs as h
            inner join ops.runs as r on h.run_id = r.id
            where h.held and r.environment_id = c.environment_id and r.wait_reason ->> 'cap' = c.name
        )
    ) as item
from ops.caps as c
inner join in_use as n on c.id = n.id
where c.environment_id = $1
order by c.name
