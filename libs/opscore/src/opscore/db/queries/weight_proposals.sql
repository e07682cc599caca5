-- Weights learned from history, newest first, or one by its id.
select to_jsonb(p) - 'environment_id' as item
from api.weight_proposals as p
where p.environment_id = $1 and ($2::uuid is null or p.id = $2)
order by p.created_at desc, p.id asc
limit 100
