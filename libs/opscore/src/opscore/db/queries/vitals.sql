-- What doctor asks the control plane.
select
    jsonb_build_object(
        'server_version', current_setting('server_version'),
        'role', current_user,
        'notify_queue_usage', pg_notification_queue_usage(),
        'paused', (select s.paused_reason from ops.settings as s),
        'executors', (
            select jsonb_build_object('alive', count(*), 'draining', count(*) filter (where e.draining))
            from ops.executors as e
            cross join ops.settings as s
            where e.last_seen_at > ops.now() - make_interval(secs => s.executor_ttl_ms / 1000.0)
        ),
        'open_runs', (
            select coalesce(jsonb_object_agg(o.state, o.runs), '{}')
            from (
                select
                    r.state,
                    count(*) as runs
                from ops.open_runs as q
                inner join ops.runs as r on q.run_id = r.id
                group by r.state
            ) as o
        ),
        'cursors', (
            select coalesce(jsonb_object_agg(c.consumer, to_jsonb(c.updated_at)), '{}')
            from ops.cursors as c
        )
    ) as item
