-- The routing matrix in the order it is asked.
select to_jsonb(m) - 'environment_id' as item
from api.routes as m
where m.environment_id = $1 and ($2::text is null or m.name = $2)
order by m.position, m.name
