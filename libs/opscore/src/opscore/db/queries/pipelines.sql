-- Pipelines of an environment, the built-in ones last.
select to_jsonb(p) - 'environment_id' as item
from api.pipelines as p
where p.environment_id = $1 and ($2::text is null or p.name = $2)
order by p.built_in, p.name
