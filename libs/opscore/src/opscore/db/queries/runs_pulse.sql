-- A fingerprint of the runs that a viewer may be looking at: the newest, the open ones, and those already shown.
with watched as (
    (
        select r.id
        from ops.runs as r
        where r.environment_id = $1 and r.pipeline <> 'query'
        order by r.created_at desc, r.id desc
        limit $2
    )
    union
    select r.id
    from ops.open_runs as q
    inner join ops.runs as r on q.run_id = r.id
    where q.executor_id is not null and r.environment_id = $1
    union
    select k.id
    from unnest($3::uuid[]) as k (id)
)

select
    r.id,
    concat_ws('/', r.state, r.phase, r.attempt, r.event_seq, r.progress, r.wait_reason, s.score) as pulse
from watched as w
inner join ops.runs as r on w.id = r.id
left join ops.run_scores as s on r.id = s.run_id
