-- What a run left behind, newest attempt first; or one artifact by its own id.
select to_jsonb(a) as item
from api.artifacts as a
where a.run_id = $1 or a.id = $2
order by a.attempt desc, a.name asc
