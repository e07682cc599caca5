-- Triggers of an environment, those of a pipeline together.
select to_jsonb(t) - 'environment_id' as item
from api.triggers as t
where t.environment_id = $1
order by t.pipeline, t.name
