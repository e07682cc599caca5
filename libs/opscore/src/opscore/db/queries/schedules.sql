-- Schedules and deadlines of an environment, those of a pipeline together.
select to_jsonb(s) - 'environment_id' as item
from api.schedules as s
where
    s.environment_id = $1
    and ($2::text is null or s.pipeline = $2)
    and ($3::text is null or s.name = $3)
order by s.pipeline, s.name
