-- Executors, those seen last first.
select
    to_jsonb(e) || jsonb_build_object(
        'alive', e.last_seen_at > clock_timestamp() - make_interval(secs => s.executor_ttl_ms / 1000.0),
        'running', (
            select count(*)
            from ops.runs as r
            where r.executor_id = e.id and r.lease_expires_at is not null
        )
    ) as item
from api.executors as e
cross join ops.settings as s
order by e.last_seen_at desc, e.name asc
