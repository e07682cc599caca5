-- Versions of an environment's weights, the one in force first, or one by its number.
select to_jsonb(v) - 'environment_id' as item
from api.weights as v
where v.environment_id = $1 and ($2::integer is null or v.version = $2)
order by v.version desc
