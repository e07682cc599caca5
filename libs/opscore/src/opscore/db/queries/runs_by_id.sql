-- Named runs, newest first.
select to_jsonb(r) as item
from api.runs as r
where r.id = any($1::uuid[])
order by r.created_at desc, r.id desc
