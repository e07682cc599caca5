-- The ledger of one table, newest publish first.
select
    jsonb_build_object(
        'snapshot_id', t.snapshot_id::text, 'run_id', t.run_id, 'pipeline', r.pipeline, 'published_at', r.published_at,
        'rolled_back_at', r.rolled_back_at, 'rows', t.rows, 'rows_added', t.rows_added, 'files', t.files, 'bytes', t.bytes,
        'metadata_location', t.metadata_location, 'current', c.metadata_location is not distinct from t.metadata_location
    ) as item
from ops.run_tables as t
inner join ops.runs as r on t.run_id = r.id
left join ops.tables as c on t.name = c.name
where t.name = $1
order by r.published_at desc, t.run_id desc
