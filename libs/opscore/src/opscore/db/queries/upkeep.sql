-- What doctor asks about the state the control plane's house is in.
select
    jsonb_build_object(
        'now', extract(epoch from clock_timestamp()),
        'clock_shift_s', (
            select extract(epoch from c.shift)
            from ops.clock as c
        ),
        'tables', (
            select jsonb_object_agg(t.relname, jsonb_build_object('live', t.n_live_tup, 'dead', t.n_dead_tup))
            from pg_stat_user_tables as t
            where
                t.schemaname = 'ops'
                and t.relname in ('runs', 'open_runs', 'executors', 'cursors', 'leaders', 'notifications', 'cap_usage')
        ),
        'stuck_leases', (
            select count(*)
            from ops.open_runs as q
            inner join ops.runs as r on q.run_id = r.id
            cross join ops.settings as s
            where
                q.executor_id is not null
                and r.lease_expires_at < ops.now() - make_interval(secs => s.lease_ms / 1000.0)
        ),
        'partition_room', (
            select
                max(p.upto_seq) - (
                    select s.last_value
                    from ops.run_events_seq as s
                )
            from ops.event_partitions as p
            where
                p.dropped_at is null
                and to_regclass('ops.' || p.name) is not null
        ),
        'partition_rows', (
            select s.event_partition_rows
            from ops.settings as s
        ),
        'partitions_gone', (
            select coalesce(jsonb_agg(p.name order by p.from_seq), '[]')
            from ops.event_partitions as p
            where
                p.dropped_at is null
                and to_regclass('ops.' || p.name) is null
        ),
        'retention_overdue_s', (
            select extract(epoch from max(ops.now() - p.closed_at - make_interval(days => s.event_retention_days)))
            from ops.event_partitions as p
            cross join ops.settings as s
            where p.dropped_at is null
        ),
        'sealing', (
            select jsonb_build_object('n', h.n, 'lag_s', extract(epoch from ops.now() - o.at))
            from (
                select
                    coalesce(max(s.n), 0) as n,
                    coalesce(
                        (
                            select (l.upto_xid::text || '.' || l.upto_seq::text)
                            from ops.event_seals as l
                            order by l.n desc
                            limit 1
                        ), '0.0'
                    ) as place
                from ops.event_seals as s
            ) as h
            left join lateral (
                select e.at
                from ops.run_events as e
                where (e.xid, e.seq) > (split_part(h.place, '.', 1)::xid8, split_part(h.place, '.', 2)::bigint)
                order by e.xid, e.seq
                limit 1
            ) as o on true
        ),
        'followers', (
            select coalesce(jsonb_object_agg(c.consumer, extract(epoch from ops.now() - o.at)), '{}')
            from ops.cursors as c
            left join lateral (
                select e.at
                from ops.run_events as e
                where (e.xid, e.seq) > (c.xid, c.seq)
                order by e.xid, e.seq
                limit 1
            ) as o on true
        )
    ) as item
