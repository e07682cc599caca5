-- Executors, those seen last first.
select
    to_jsonb(e) || jsonb_build_object(
        'alive', e.lost_at is null and e.last_seen_at > ops.now() - make_interval(secs => s.executor_ttl_ms / 1000.0),
        'running', (
            select count(*)
            from ops.open_runs as q
            where q.executor_id = e.id
        )
    ) as item
from api.executors as e
cross join ops.settings as s
order by e.last_seen_at desc, e.name asc
