-- Signals of an environment, those of the newest runs first, or of one run.
select
    jsonb_build_object(
        'run_id', s.run_id, 'pipeline', s.pipeline, 'name', s.name, 'value', s.value::text, 'evidence', s.evidence,
        'created_at', s.created_at
    ) as item
from api.signals as s
where
    s.environment_id = $1
    and ($2::uuid is null or s.run_id = $2)
    and ($3::text is null or s.pipeline = $3)
    and ($4::text is null or s.name = $4)
    and ($5::numeric is null or s.value < $5)
order by s.run_created_at desc, s.run_id desc, s.name asc
limit $6
