-- Settled events behind a position: no transaction that is still open can add one before them.
select
    e.xid::text as xid,
    e.seq,
    jsonb_build_object(
        'seq', e.seq, 'run_id', e.run_id, 'run_seq', e.run_seq, 'attempt', e.attempt, 'type', e.type, 'at', e.at, 'data', e.data
    ) as item
from ops.run_events as e
where
    (e.xid, e.seq) > ($1::text::xid8, $2::bigint)
    and e.xid < pg_snapshot_xmin(pg_current_snapshot())
order by e.xid, e.seq
limit $3
