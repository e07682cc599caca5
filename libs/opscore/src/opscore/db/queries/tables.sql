-- Published tables by name.
select to_jsonb(t) as item
from api.tables as t
where $1::text is null or t.name = $1
order by t.name
